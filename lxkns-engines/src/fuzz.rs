//! What holds for each parser whatever the bytes. The fuzz targets and a property test feed these functions; none may panic.

use bstr::{BString, ByteSlice as _};

use crate::parse::{self, MOST};
use crate::units;

/// The path of a control group: each container's own group is a part of it that ends where a component does, and each is
/// below the one before. The same path below another says the same of what is in it.
pub fn cgroup_path(path: &[u8]) {
    let found = parse::cgroup_path::containers(path);
    let mut before = 0;
    for named in &found {
        assert!(!named.id.is_empty());
        assert!(named.end > before && named.end <= path.len());
        assert!(path.get(named.end).is_none_or(|&byte| byte == b'/'));
        before = named.end;
    }
    assert!(parse::cgroup_path::unescaped(path).len() <= path.len());
    if let Some(unit) = units::of_cgroup(path) {
        assert!(!unit.name.contains(&b'/') || path.contains_str("\\x"));
    }
}

/// `state.json` of runc.
pub fn runc_state(text: &[u8]) {
    let Ok(state) = parse::runc::parse(text) else { return };
    assert!(!state.id.is_empty() && state.annotations.len() <= MOST && state.cgroup_paths.len() <= MOST);
}

/// `status` of crun.
pub fn crun_status(text: &[u8]) {
    let Ok(status) = parse::crun::parse(text) else { return };
    assert!(status.cgroup_path.is_none_or(|path| !path.is_empty()));
}

/// `config.json` of a bundle.
pub fn bundle(text: &[u8]) {
    let Ok(config) = parse::bundle::parse(text) else { return };
    assert!(config.annotations.len() <= MOST);
}

/// `config.v2.json` of Docker.
pub fn docker_config(text: &[u8]) {
    let Ok(config) = parse::docker::parse(text) else { return };
    assert!(!config.id.is_empty() && config.labels.len() <= MOST);
}

/// `containers.json` of containers/storage, and the database of podman.
pub fn podman_storage(text: &[u8]) {
    assert!(parse::podman::pod_name(text, b"ab").is_none_or(|name| !name.is_empty()));
    let Ok(stored) = parse::podman::parse(text) else { return };
    assert!(stored.len() <= MOST && stored.iter().all(|stored| !stored.id.is_empty()));
}

/// The kept results of CNI plugins.
pub fn cni_result(text: &[u8]) {
    let Ok(kept) = parse::cni::parse(text) else { return };
    assert!(!kept.container_id.is_empty() && kept.sandboxes.len() <= MOST);
}

/// What machined keeps.
pub fn machine(text: &[u8]) {
    let Some(machine) = parse::machine::parse(text) else { return };
    assert!(!machine.name.is_empty());
}

/// Command lines of monitors: arguments end with zeros.
pub fn monitor(text: &[u8]) {
    let arguments: Vec<BString> = text.split(|&byte| byte == 0).map(BString::from).collect();
    if let Some(monitor) = parse::monitor::parse(&arguments) {
        assert!(arguments.iter().any(|argument| argument.contains_str(&monitor.id)));
    }
}

/// Mounts: the point, the root and the options, with zeros between them.
pub fn mount(text: &[u8]) {
    let mut parts = text.splitn(3, |&byte| byte == 0);
    let mut next = || parts.next().unwrap_or_default();
    let (point, root, options) = (next(), next(), next());
    for fs_type in [&b"overlay"[..], b"ext4"] {
        if let Some(named) = parse::mount::container(point, root, fs_type, options) {
            assert!(parse::is_long_id(&named.id));
        }
    }
}

/// Answers of engines over HTTP and gRPC, in parts of any size, and the JSON or the messages in them.
pub fn api(text: &[u8]) {
    use crate::api::{containerd, forms, grpc, http};
    let part = usize::from(text.first().copied().unwrap_or(0));
    let message = grpc::whole(text, usize::MAX >> 1);
    assert_eq!(message, grpc::whole(text, part), "how it arrives does not matter");
    containerd::fuzz(message.as_deref().unwrap_or(text));
    let whole = http::whole(text, usize::MAX >> 1);
    assert_eq!(whole, http::whole(text, part), "how it arrives does not matter");
    let body = whole.unwrap_or_else(|_| text.to_vec());
    if let Ok(version) = forms::version(&body) {
        assert!(!version.version.is_empty() && version.api.is_none_or(|api| !api.contains('/')));
    }
    if let Ok(list) = forms::containers(&body) {
        assert!(list.items.len() <= forms::MOST_LISTED);
        assert!(list.items.iter().all(|listed| !listed.id.is_empty() && listed.labels.len() <= MOST));
    }
    if let Ok(list) = forms::pods(&body) {
        assert!(list.items.len() <= forms::MOST_LISTED && list.items.iter().all(|pod| !pod.name.is_empty()));
    }
    assert!(
        lxkns_core::parse::listening_unix_sockets(text)
            .values()
            .all(|paths| paths.iter().all(|path| path.starts_with(b"/")))
    );
}

/// Times.
pub fn time(text: &[u8]) {
    let Ok(text) = text.to_str() else { return };
    if let Some(time) = parse::time::parse(text) {
        assert!(time >= std::time::SystemTime::UNIX_EPOCH);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [fn(&[u8]); 12] = [
        api,
        cgroup_path,
        runc_state,
        crun_status,
        bundle,
        docker_config,
        podman_storage,
        cni_result,
        machine,
        monitor,
        mount,
        time,
    ];

    /// Texts that parsers take, to be cut and mixed.
    const SEEDS: [&str; 18] = [
        "\0\0\0\x04\0\0\0\0\0\0\0\x0c\0\x01\0\0\0\x01\0\0\0\0\x07\n\x05\n\x03one",
        "\n\x17\n\x03one\x12\x07\n\x01a\x12\x02bc\x1a\x01i\x42\x04\x08\x07\x10\x09",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[{\"Id\r\n6\r\n\":\"a\"}\r\n1\r\n]\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 61\r\n\r\n[{\"Id\":\"a\",\"Names\":[\"/a\"],\"State\":\"x\",\"Status\":\"(healthy)\"}]",
        "{\"Version\":\"4.3.1\",\"Components\":[{\"Name\":\"Podman Engine\",\"Details\":{\"APIVersion\":\"4.3.1\"}}]}",
        "0: 00000002 00000000 00010000 0001 01 24539 /run/docker.sock",
        "/docker/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/lxc.payload.x/machine-a\\x2db.scope",
        "/user.slice/user-1000.slice/user@1000.service/app.slice/snap.x.y.scope",
        "{\"id\":\"a\",\"init_process_pid\":1,\"config\":{\"labels\":[\"a=b\"],\"namespaces\":[{\"type\":\"NEWNET\"}]}}",
        "{\"pid\":1,\"process-start-time\":2,\"cgroup-path\":\"/a\",\"created\":\"2026-11-29T01:10:50.490133Z\"}",
        "{\"ociVersion\":\"1\",\"annotations\":{\"a\":\"b\"},\"linux\":{\"namespaces\":[{\"type\":\"network\"}]}}",
        "{\"ID\":\"a\",\"Name\":\"/a\",\"State\":{\"Pid\":1},\"Config\":{\"Labels\":{\"a\":\"b\"}}}",
        "[{\"id\":\"ab\",\"names\":[\"x\"],\"metadata\":\"{}\"}]",
        "{\"id\":\"ab\",\"name\":\"p\"}",
        "{\"containerId\":\"a\",\"cniArgs\":[[\"K8S_POD_NAME\",\"a\"]],\"result\":{\"interfaces\":[{\"sandbox\":\"/a\"}]}}",
        "NAME=\"a\\\\\"\nLEADER=1\nREALTIME=1\n",
        "conmon\0-c\0a\0-n\0b",
        "2026-11-29T01:08:07.505138993+01:00",
    ];

    fn mutated() -> impl Strategy<Value = Vec<u8>> {
        let seed = (0..SEEDS.len()).prop_map(|at| SEEDS[at].as_bytes().to_vec());
        let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
        (seed, changes, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(mut text, changes, cut, is_cut)| {
            for (at, byte) in changes {
                let at = at.index(text.len());
                text[at] = byte;
            }
            if is_cut {
                text.truncate(cut.index(text.len()));
            }
            text
        })
    }

    proptest! {
        #[test]
        fn no_parser_panics(text in prop_oneof![mutated(), prop::collection::vec(any::<u8>(), 0..300)]) {
            ALL.iter().for_each(|parse| parse(&text));
        }
    }

    #[test]
    fn the_seeds_are_taken() {
        ALL.iter().for_each(|parse| SEEDS.iter().for_each(|seed| parse(seed.as_bytes())));
    }
}
