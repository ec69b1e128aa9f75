//! `cargo xtask deploy`: the artefacts in `deploy` say the same as each other and as the program, and are what the tools that
//! take them accept.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value, json};

use crate::run::{line, run as run_command};

/// The capabilities that each way of deployment gives.
const CAPABILITIES: [&str; 5] = ["DAC_OVERRIDE", "DAC_READ_SEARCH", "SYS_ADMIN", "SYS_CHROOT", "SYS_PTRACE"];
/// What each says of others.
const NAMED: [&str; 3] = ["NET_ADMIN", "BPF", "PERFMON"];

/// What `systemd-analyze security` may say of the unit at most, in tenths; what would blind the service is left out.
const MOST_EXPOSURE: &str = "48";

/// What gives a unit a mount namespace of its own, whose copies keep file systems busy.
const MOUNT_NAMESPACE: [&str; 22] = [
    "BindPaths",
    "BindReadOnlyPaths",
    "DynamicUser",
    "ExecPaths",
    "ExtensionImages",
    "InaccessiblePaths",
    "MountImages",
    "NoExecPaths",
    "PrivateDevices",
    "PrivateIPC",
    "PrivateMounts",
    "PrivateTmp",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RootDirectory",
    "TemporaryFileSystem",
];

/// What blinds it in other ways.
const BLINDING: [&str; 6] =
    ["PrivateNetwork", "PrivateUsers", "ProcSubset", "ProtectHostname", "ProtectProc", "RestrictNamespaces"];

/// What it cannot do without, of what other profiles deny.
const NEEDED_CALLS: [&str; 15] = [
    "bpf",
    "fanotify_init",
    "fanotify_mark",
    "kcmp",
    "listmount",
    "listns",
    "name_to_handle_at",
    "open_by_handle_at",
    "open_tree",
    "perf_event_open",
    "pidfd_getfd",
    "pidfd_open",
    "setns",
    "statmount",
    "unshare",
];

/// What would change the host, of what its capabilities allow.
const DENIED_CALLS: [&str; 24] = [
    "acct",
    "add_key",
    "chroot",
    "delete_module",
    "finit_module",
    "fsmount",
    "init_module",
    "kexec_load",
    "keyctl",
    "mknod",
    "mknodat",
    "mount",
    "mount_setattr",
    "move_mount",
    "pivot_root",
    "process_vm_writev",
    "ptrace",
    "quotactl",
    "reboot",
    "setdomainname",
    "sethostname",
    "swapon",
    "umount2",
    "vhangup",
];

pub(crate) fn run() -> anyhow::Result<()> {
    let mut problems = Vec::new();
    let read = |path: &str| fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let version = crate::dist::version()?;
    problems.extend(of_compose(&documents(&read("deploy/compose.yaml")?)?[0], &version));
    problems.extend(of_daemon_set(&documents(&read("deploy/kubernetes/daemonset.yaml")?)?[0]));
    problems.extend(of_kustomization(&documents(&read("deploy/kubernetes/kustomization.yaml")?)?[0], &version));
    problems.extend(of_unit(&read("deploy/systemd/lxknsd.service")?));
    problems.extend(of_seccomp(&serde_json::from_str(&read("deploy/seccomp.json")?).context("deploy/seccomp.json")?));
    problems.extend(of_apparmor(&read("deploy/apparmor/lxknsd")?));
    let rules = read("deploy/prometheus/lxknsd.rules.yaml")?;
    problems.extend(of_rules(&documents(&rules)?[0], &read("docs/service.md")?));
    for file in ["deploy/compose.yaml", "deploy/kubernetes/daemonset.yaml", "deploy/systemd/lxknsd.service"] {
        let text = read(file)?;
        let missing = NAMED.iter().filter(|name| !text.contains(*name) && !file.ends_with(".service"));
        problems.extend(missing.map(|name| format!("{file}: does not say what {name} would add")));
    }
    for problem in &problems {
        println!("{problem}");
    }
    ensure!(problems.is_empty(), "{} artefacts are not right", problems.len());

    let prometheus = Path::new("deploy/prometheus");
    run_command(Command::new("promtool").args(["test", "rules", "lxknsd.rules.test.yaml"]).current_dir(prometheus))?;
    run_command(Command::new("promtool").args(["check", "config", "prometheus.yaml"]).current_dir(prometheus))?;
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager", &format!("--threshold={MOST_EXPOSURE}")]);
    let analyze = analyze.arg("deploy/systemd/lxknsd.service");
    let ran = analyze.output().context("systemd-analyze")?;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    println!("{}", said.lines().last().unwrap_or_default());
    if !ran.status.success() {
        bail!("{} fails: {said}{}", line(analyze), String::from_utf8_lossy(&ran.stderr));
    }
    Ok(())
}

/// The documents of a file.
fn documents(text: &str) -> anyhow::Result<Vec<Value>> {
    let all: Vec<Value> = Yaml::load_from_str(text)?.iter().map(value).collect();
    ensure!(!all.is_empty(), "there is nothing in it");
    Ok(all)
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Boolean(is)) => json!(is),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::FloatingPoint(number)) => json!(number.into_inner()),
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Sequence(all) => all.iter().map(value).collect(),
        Yaml::Mapping(all) => {
            let pairs = all.iter().map(|(key, of)| (key.as_str().unwrap_or_default().to_owned(), value(of)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

/// What is not as expected.
fn unlike(file: &str, pairs: &[(&str, &Value, Value)]) -> Vec<String> {
    let wrong = pairs.iter().filter(|(_, is, should)| *is != should);
    wrong.map(|(what, is, should)| format!("{file}: {what} is {is}, and should be {should}")).collect()
}

fn sorted(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = list.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    names.sort_unstable();
    names
}

fn of_compose(all: &Value, version: &str) -> Vec<String> {
    const FILE: &str = "deploy/compose.yaml";
    let of = &all["services"]["lxknsd"];
    let mut problems = unlike(
        FILE,
        &[
            ("image", &of["image"], json!(format!("{}:{version}", crate::dist::IMAGE))),
            ("pid", &of["pid"], json!("host")),
            ("user", &of["user"], json!("65532:65532")),
            ("read_only", &of["read_only"], json!(true)),
            ("cap_drop", &of["cap_drop"], json!(["ALL"])),
            ("privileged", &of["privileged"], Value::Null),
            ("volumes", &of["volumes"], Value::Null),
            ("cap_add", &json!(sorted(&of["cap_add"])), json!(CAPABILITIES)),
            ("security_opt", &of["security_opt"], json!(["seccomp=./seccomp.json", "apparmor=unconfined"])),
        ],
    );
    if sorted(&of["security_opt"]).iter().any(|option| option.starts_with("no-new-privileges")) {
        problems.push(format!("{FILE}: no-new-privileges takes the capabilities of the program's file away"));
    }
    problems
}

fn of_daemon_set(all: &Value) -> Vec<String> {
    const FILE: &str = "deploy/kubernetes/daemonset.yaml";
    let pod = &all["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let has_host_path = volumes.into_iter().any(|volume| !volume["hostPath"].is_null());
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let propagates = mounts.into_iter().any(|mount| mount["mountPropagation"] == "HostToContainer");
    let mut problems = unlike(
        FILE,
        &[
            ("kind", &all["kind"], json!("DaemonSet")),
            ("hostPID", &pod["hostPID"], json!(true)),
            ("hostNetwork", &pod["hostNetwork"], Value::Null),
            ("runAsNonRoot", &pod["securityContext"]["runAsNonRoot"], json!(true)),
            ("runAsUser", &pod["securityContext"]["runAsUser"], json!(65_532)),
            ("automountServiceAccountToken", &pod["automountServiceAccountToken"], json!(false)),
            ("image", &container["image"], json!(crate::dist::IMAGE)),
            ("readOnlyRootFilesystem", &security["readOnlyRootFilesystem"], json!(true)),
            ("allowPrivilegeEscalation", &security["allowPrivilegeEscalation"], json!(true)),
            ("privileged", &security["privileged"], json!(false)),
            ("capabilities.drop", &security["capabilities"]["drop"], json!(["ALL"])),
            ("capabilities.add", &json!(sorted(&security["capabilities"]["add"])), json!(CAPABILITIES)),
        ],
    );
    if has_host_path && !propagates {
        problems.push(format!("{FILE}: a hostPath without HostToContainer keeps what the node has unmounted"));
    }
    problems
}

fn of_kustomization(all: &Value, version: &str) -> Vec<String> {
    const FILE: &str = "deploy/kubernetes/kustomization.yaml";
    let image = &all["images"][0];
    let mut problems = unlike(
        FILE,
        &[("name", &image["name"], json!(crate::dist::IMAGE)), ("newTag", &image["newTag"], json!(version))],
    );
    let named = sorted(&all["resources"]);
    let files = fs::read_dir("deploy/kubernetes").into_iter().flatten().flatten();
    let files =
        files.filter_map(|file| file.file_name().into_string().ok()).filter(|name| name != "kustomization.yaml");
    let unnamed = files.filter(|name| !named.contains(&name.as_str()));
    problems.extend(unnamed.map(|name| format!("{FILE}: {name} is not among its resources")));
    problems
}

fn of_unit(text: &str) -> Vec<String> {
    const FILE: &str = "deploy/systemd/lxknsd.service";
    let set: Vec<(&str, &str)> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('=')).collect();
    let of = |key: &str| set.iter().filter(|(known, _)| *known == key).map(|(_, value)| *value).collect::<Vec<_>>();
    let mut problems = Vec::new();
    for key in ["AmbientCapabilities", "CapabilityBoundingSet"] {
        let value = of(key).concat();
        let mut names: Vec<_> = value.split(' ').filter_map(|name| name.strip_prefix("CAP_")).collect();
        names.sort_unstable();
        if names != CAPABILITIES {
            problems.push(format!("{FILE}: {key} is {value}"));
        }
    }
    for key in MOUNT_NAMESPACE.into_iter().chain(BLINDING).filter(|key| !of(key).is_empty()) {
        problems.push(format!("{FILE}: {key} would keep file systems busy, or blind the service"));
    }
    // The reason stands beside each that a reader would miss.
    for key in
        ["PrivateMounts=", "PrivateNetwork=", "PrivateUsers=", "ProtectProc=", "ProtectSystem=", "RestrictNamespaces="]
    {
        if !text.lines().any(|line| line.starts_with('#') && line.contains(key)) {
            problems.push(format!("{FILE}: does not say why there is no {key}"));
        }
    }
    let filter: BTreeSet<_> = of("SystemCallFilter").iter().flat_map(|names| names.split(' ')).collect();
    let missing = NEEDED_CALLS.iter().filter(|call| !filter.contains(**call));
    problems.extend(missing.map(|call| format!("{FILE}: SystemCallFilter lacks {call}")));
    problems
}

fn of_seccomp(profile: &Value) -> Vec<String> {
    const FILE: &str = "deploy/seccomp.json";
    let mut problems = unlike(FILE, &[("defaultAction", &profile["defaultAction"], json!("SCMP_ACT_ERRNO"))]);
    let mut allowed = BTreeSet::new();
    for rule in profile["syscalls"].as_array().into_iter().flatten() {
        if rule["action"] != "SCMP_ACT_ALLOW" || !rule["args"].is_null() || rule["comment"].is_null() {
            problems.push(format!("{FILE}: {rule} is not a plain rule with its reason"));
        }
        allowed.extend(sorted(&rule["names"]));
    }
    problems.extend(
        NEEDED_CALLS.iter().filter(|call| !allowed.contains(**call)).map(|call| format!("{FILE}: lacks {call}")),
    );
    problems.extend(
        DENIED_CALLS.iter().filter(|call| allowed.contains(**call)).map(|call| format!("{FILE}: allows {call}")),
    );
    problems
}

fn of_apparmor(text: &str) -> Vec<String> {
    const FILE: &str = "deploy/apparmor/lxknsd";
    let rules: BTreeSet<_> = text.lines().map(str::trim).collect();
    let capabilities = CAPABILITIES.iter().chain(&NAMED).map(|name| format!("capability {},", name.to_lowercase()));
    let others = ["ptrace read,", "deny mount,", "deny umount,", "deny pivot_root,"].map(str::to_owned);
    let missing = capabilities.chain(others).filter(|rule| !rules.contains(rule.as_str()));
    missing.map(|rule| format!("{FILE}: lacks `{rule}`")).collect()
}

/// Each metric that an alert is about is one that the service has, and each alert leads to the agent.
fn of_rules(all: &Value, document: &str) -> Vec<String> {
    const FILE: &str = "deploy/prometheus/lxknsd.rules.yaml";
    let mut problems = Vec::new();
    for rule in all["groups"][0]["rules"].as_array().into_iter().flatten() {
        let alert = rule["alert"].as_str().unwrap_or_default();
        let expression = rule["expr"].as_str().unwrap_or_default();
        let names = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in names.filter(|name| name.starts_with("lxkns_") && !document.contains(&format!("`{name}`"))) {
            problems.push(format!("{FILE}: {alert}: docs/service.md has no metric {name}"));
        }
        if !rule["annotations"]["link"].as_str().is_some_and(|link| link.starts_with("{{ $labels.agent }}/")) {
            problems.push(format!("{FILE}: {alert} has no link to the agent"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this tree.
    fn file(path: &str) -> String {
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
    }

    #[test]
    fn a_unit_that_blinds_the_service_is_noticed() {
        let text = file("deploy/systemd/lxknsd.service");
        assert_eq!(of_unit(&text), [""; 0]);
        for (from, to) in [
            ("LockPersonality=yes", "PrivateTmp=yes"),
            ("LockPersonality=yes", "RestrictNamespaces=yes"),
            (" setns ", " "),
            ("AmbientCapabilities=CAP_SYS_PTRACE ", "AmbientCapabilities="),
            ("PrivateUsers=", ""),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from}");
            assert_eq!(of_unit(&changed).len(), 1, "{to}: {:?}", of_unit(&changed));
        }
    }

    #[test]
    fn a_profile_that_allows_or_lacks_something_is_noticed() {
        let mut profile: Value = serde_json::from_str(&file("deploy/seccomp.json")).unwrap();
        assert_eq!(of_seccomp(&profile), [""; 0]);
        profile["syscalls"][0]["names"].as_array_mut().unwrap().push(json!("mount"));
        profile["syscalls"][1]["names"] = json!(["unshare"]);
        assert_eq!(of_seccomp(&profile), ["deploy/seccomp.json: lacks setns", "deploy/seccomp.json: allows mount"]);
        let text = file("deploy/apparmor/lxknsd");
        assert_eq!(of_apparmor(&text), [""; 0]);
        assert_eq!(of_apparmor(&text.replace("deny mount,", "")).len(), 1);
    }

    #[test]
    fn a_pod_without_what_it_needs_is_noticed() {
        let all = documents(&file("deploy/kubernetes/daemonset.yaml")).unwrap().remove(0);
        assert_eq!(of_daemon_set(&all), [""; 0]);
        let mut changed = all;
        let pod = &mut changed["spec"]["template"]["spec"];
        pod["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(false);
        pod["hostPID"] = json!(false);
        pod["volumes"][0]["hostPath"] = json!({ "path": "/" });
        assert_eq!(of_daemon_set(&changed).len(), 3);
        let compose = documents(&file("deploy/compose.yaml")).unwrap().remove(0);
        assert_eq!(of_compose(&compose, env!("CARGO_PKG_VERSION")), [""; 0]);
        assert_eq!(of_compose(&compose, "9.9.9").len(), 1);
    }

    #[test]
    fn an_alert_about_no_metric_is_noticed() {
        let all = documents(&file("deploy/prometheus/lxknsd.rules.yaml")).unwrap().remove(0);
        let document = file("docs/service.md");
        assert_eq!(of_rules(&all, &document), [""; 0]);
        assert!(!of_rules(&all, &document.replace("`lxkns_orphans`", "")).is_empty());
    }
}
