//! The BTF of a small kernel, for tests: the structures that the programs need, and nothing else.

/// A type of a member.
#[derive(Clone, Copy)]
enum Of {
    Number(u32),
    Pointer,
    Chars,
    /// A structure or union of those before, by its name; an anonymous one by its place.
    In(&'static str),
}

const OWNED: &[(&str, Of)] = &[("user_ns", Of::Pointer), ("ns", Of::In("ns_common"))];

/// The structures, each after those that it contains. Members stand one after another, each aligned to its size.
const STRUCTS: &[(&str, &[(&str, Of)])] = &[
    ("bpf_iter_meta", &[("seq", Of::Pointer)]),
    ("bpf_iter__task", &[("meta", Of::Pointer), ("task", Of::Pointer)]),
    (
        "bpf_iter__task_file",
        &[("meta", Of::Pointer), ("task", Of::Pointer), ("fd", Of::Number(4)), ("file", Of::Pointer)],
    ),
    ("bpf_iter__bpf_map_elem", &[("meta", Of::Pointer), ("key", Of::Pointer), ("value", Of::Pointer)]),
    ("seccomp", &[("mode", Of::Number(4))]),
    (
        "task_struct",
        &[
            ("__state", Of::Number(4)),
            ("flags", Of::Number(4)),
            ("exit_state", Of::Number(4)),
            ("pid", Of::Number(4)),
            ("tgid", Of::Number(4)),
            ("real_parent", Of::Pointer),
            ("group_leader", Of::Pointer),
            ("thread_pid", Of::Pointer),
            ("start_boottime", Of::Number(8)),
            ("real_cred", Of::Pointer),
            ("comm", Of::Chars),
            ("fs", Of::Pointer),
            ("files", Of::Pointer),
            ("nsproxy", Of::Pointer),
            ("atomic_flags", Of::Number(8)),
            ("seccomp", Of::In("seccomp")),
        ],
    ),
    ("path", &[("mnt", Of::Pointer), ("dentry", Of::Pointer)]),
    ("fs_struct", &[("root", Of::In("path"))]),
    (
        "nsproxy",
        &[
            ("count", Of::Number(4)),
            ("uts_ns", Of::Pointer),
            ("ipc_ns", Of::Pointer),
            ("mnt_ns", Of::Pointer),
            ("pid_ns_for_children", Of::Pointer),
            ("net_ns", Of::Pointer),
            ("time_ns", Of::Pointer),
            ("time_ns_for_children", Of::Pointer),
            ("cgroup_ns", Of::Pointer),
        ],
    ),
    (
        "cred",
        &[
            ("uid", Of::Number(4)),
            ("gid", Of::Number(4)),
            ("suid", Of::Number(4)),
            ("sgid", Of::Number(4)),
            ("euid", Of::Number(4)),
            ("egid", Of::Number(4)),
            ("fsuid", Of::Number(4)),
            ("fsgid", Of::Number(4)),
            ("cap_inheritable", Of::Number(8)),
            ("cap_permitted", Of::Number(8)),
            ("cap_effective", Of::Number(8)),
            ("cap_bset", Of::Number(8)),
            ("cap_ambient", Of::Number(8)),
            ("user_ns", Of::Pointer),
        ],
    ),
    ("upid", &[("nr", Of::Number(4)), ("ns", Of::Pointer)]),
    ("pid", &[("count", Of::Number(4)), ("level", Of::Number(4)), ("numbers", Of::In("upid"))]),
    ("list_head", &[("next", Of::Pointer), ("prev", Of::Pointer)]),
    (
        "ns_common",
        &[
            ("ns_type", Of::Number(4)),
            ("inum", Of::Number(4)),
            ("__ns_ref", Of::Number(4)),
            ("ns_id", Of::Number(8)),
            ("ns_list_node", Of::In("list_head")),
        ],
    ),
    ("mnt_namespace", OWNED),
    ("cgroup_namespace", OWNED),
    ("uts_namespace", OWNED),
    ("xarray", &[("xa_head", Of::Pointer)]),
    ("idr", &[("idr_rt", Of::In("xarray"))]),
    ("ipc_ids", &[("ipcs_idr", Of::In("idr"))]),
    ("ipc_namespace", &[("ids", Of::In("ipc_ids")), ("user_ns", Of::Pointer), ("ns", Of::In("ns_common"))]),
    ("xa_node", &[("slots", Of::Chars)]),
    ("shmid_kernel", &[("shm_perm", Of::Pointer), ("shm_nattch", Of::Number(8))]),
    ("user_namespace", &[("parent", Of::Pointer), ("owner", Of::Number(4)), ("ns", Of::In("ns_common"))]),
    ("pid_namespace", &[("parent", Of::Pointer), ("user_ns", Of::Pointer), ("ns", Of::In("ns_common"))]),
    ("net", OWNED),
    ("time_namespace", OWNED),
    (
        "super_block",
        &[
            ("s_list", Of::In("list_head")),
            ("s_dev", Of::Number(4)),
            ("s_magic", Of::Number(8)),
            ("s_user_ns", Of::Pointer),
        ],
    ),
    (
        "inode",
        &[("i_sb", Of::Pointer), ("i_ino", Of::Number(8)), ("i_rdev", Of::Number(4)), ("i_private", Of::Pointer)],
    ),
    ("file", &[("f_inode", Of::Pointer), ("private_data", Of::Pointer), ("f_path", Of::In("path"))]),
    ("qstr", &[("name", Of::Pointer)]),
    ("dentry", &[("d_name", Of::In("qstr")), ("d_sb", Of::Pointer)]),
    ("vfsmount", &[("mnt_root", Of::Pointer), ("mnt_sb", Of::Pointer)]),
    ("seq_file", &[("file", Of::Pointer), ("private", Of::Pointer)]),
    ("proc_mounts", &[("ns", Of::Pointer)]),
    ("kernfs_open_file", &[("priv", Of::Pointer)]),
    ("cgroup_file_ctx", &[("ns", Of::Pointer)]),
    ("socket", &[("sk", Of::Pointer), ("file", Of::Pointer)]),
    ("possible_net_t", &[("net", Of::Pointer)]),
    (
        "sock_common",
        &[("skc_family", Of::Number(2)), ("skc_state", Of::Number(1)), ("skc_net", Of::In("possible_net_t"))],
    ),
    ("sk_buff_list", &[("next", Of::Pointer)]),
    // The list is anonymous.
    ("sk_buff_head", &[("", Of::In("sk_buff_list")), ("qlen", Of::Number(4))]),
    ("sk_buff", &[("next", Of::Pointer), ("sk", Of::Pointer), ("cb", Of::Chars)]),
    ("unix_skb_parms", &[("fp", Of::Pointer)]),
    ("scm_fp_list", &[("count", Of::Number(2)), ("fp", Of::Pointer)]),
    ("pt_regs", &[("orig_ax", Of::Number(8)), ("syscallno", Of::Number(4))]),
    ("sock", &[("__sk_common", Of::In("sock_common")), ("sk_receive_queue", Of::In("sk_buff_head"))]),
    ("tun_file", &[("sk", Of::In("sock")), ("socket", Of::In("socket")), ("tun", Of::Pointer)]),
    ("tun_struct", &[("dev", Of::Pointer)]),
    ("net_device", &[("nd_net", Of::In("possible_net_t"))]),
];

/// The members of all structures, as paths; those that are anonymous excepted.
pub(super) fn paths() -> Vec<String> {
    let named = |(name, members): &(&str, &[(&str, Of)])| {
        let of = members.iter().filter(|(member, _)| !member.is_empty());
        of.map(|(member, _)| format!("{name}.{member}")).collect::<Vec<_>>()
    };
    STRUCTS.iter().flat_map(named).collect()
}

/// The description, without the member at the path `without`.
pub(super) fn small_btf(without: &str) -> Vec<u8> {
    let mut strings = vec![0];
    let mut types: Vec<u32> = Vec::new();
    let mut name_of = |name: &str| {
        if name.is_empty() {
            return 0;
        }
        let at = strings.len() as u32;
        strings.extend_from_slice(name.as_bytes());
        strings.push(0);
        at
    };
    let head = |kind: u32, count: usize| kind << 24 | count as u32;
    // 1 to 4: numbers by size; 5: void pointer; 6: 16 characters.
    for size in [1, 2, 4, 8] {
        types.extend([0, head(1, 0), size, size * 8]);
    }
    types.extend([0, head(2, 0), 0]);
    types.extend([0, head(3, 0), 0, 1, 3, 16]);
    let mut id = 6;
    let mut known: Vec<(&str, u32, u32)> = Vec::new();
    for &(name, members) in STRUCTS {
        let members: Vec<_> = members.iter().filter(|(member, _)| format!("{name}.{member}") != without).collect();
        let (mut offset, mut body) = (0_u32, Vec::new());
        for &&(member, of) in &members {
            let (type_id, size) = match of {
                Of::Number(size) => (size.ilog2() + 1, size),
                Of::Pointer => (5, 8),
                Of::Chars => (6, 16),
                Of::In(name) => {
                    let &(_, id, size) = known.iter().find(|(known, ..)| *known == name).expect("it comes before");
                    (id, size)
                }
            };
            offset = offset.next_multiple_of(size.clamp(1, 8).next_power_of_two());
            body.extend([name_of(member), type_id, offset * 8]);
            offset += size;
        }
        offset = offset.next_multiple_of(8);
        types.extend([name_of(name), head(4, members.len()), offset]);
        types.extend(body);
        id += 1;
        known.push((name, id, offset));
    }
    for function in ["bpf_iter_task", "bpf_iter_task_file", "bpf_iter_bpf_map_elem"] {
        types.extend([name_of(function), head(12, 0), 0]);
    }
    for tracepoint in ["sched_process_fork", "sched_process_exec", "sched_process_exit", "sys_exit"] {
        types.extend([name_of(&format!("btf_trace_{tracepoint}")), head(8, 0), 5]);
    }
    let length = types.len() as u32 * 4;
    let mut btf = 0xeb9f_u16.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    for number in [24, 0, length, length, strings.len() as u32].into_iter().chain(types) {
        btf.extend(number.to_ne_bytes());
    }
    btf.extend(strings);
    btf
}
