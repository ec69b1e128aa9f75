//! Labels of security modules.

/// Whether a label of AppArmor, SELinux or Smack is one that confines: not AppArmor's for processes without a profile, or
/// with one that only reports; and not SELinux's of the domains that its usual policies leave alone.
pub fn confines(label: &[u8]) -> bool {
    /// The types of SELinux, and what stands in their place in the name of an AppArmor namespace.
    const FREE: [&[u8]; 5] = [b"unconfined_t", b"spc_t", b"kernel_t", b"unconfined_service_t", b"unconfined"];
    // AppArmor's end with the mode, and can have colons before it.
    if label.ends_with(b")") {
        return !label.ends_with(b" (complain)") && !label.ends_with(b" (unconfined)");
    }
    // The users and roles of SELinux do not decide: `unconfined_u` is the user of most containers.
    let part = label.split(|&byte| byte == b':').nth(2).unwrap_or(label);
    !FREE.contains(&part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_module() {
        for (label, expected) in [
            ("unconfined", false),
            ("firefox (complain)", false),
            ("snap.x (unconfined)", false),
            ("docker-default (enforce)", true),
            ("lxc-a_</var/lib/lxc>//&:lxc-a_<var-lib-lxc>:unconfined (enforce)", true),
            (":root//lxd:unconfined", false),
            ("system_u:system_r:unconfined_t:s0", false),
            ("unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023", false),
            ("unconfined_u:system_r:container_t:s0:c1,c2", true),
            ("system_u:system_r:spc_t:s0", false),
            ("User::App", true),
            ("_", true),
        ] {
            assert_eq!(confines(label.as_bytes()), expected, "{label}");
        }
    }
}
