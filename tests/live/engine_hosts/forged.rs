//! A user who wants processes to pass for a container.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use serde_json::json;

use super::host::{Cgroups, on_own_host, succeeds, until_the_end};
use super::seen::Seen;

const ID: &str = "4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4";

/// A monitor's name and command line, a runtime's state, an engine's file and socket, all in a user's own places: of root's
/// processes they say nothing, and of the user's at most that it is claimed.
pub(super) fn by_a_user(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        // A process of root's, which the user would like to have seen as theirs.
        let pid = u64::from(until_the_end(Command::new("sleep").arg("inf").stdin(Stdio::null())));
        let start = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start: u64 = start.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();

        // What a user can write.
        let at = "/run/user/1000";
        let runtime = format!("{at}/runc/{ID}");
        let crun = format!("{at}/crun/{ID}");
        let docker = format!("{at}/docker/containers/{ID}");
        for directory in [&runtime, &crun, &docker] {
            fs::create_dir_all(directory).unwrap();
        }
        let state = json!({
            "id": ID,
            "init_process_pid": pid,
            "init_process_start": start,
            "config": { "labels": ["bundle=/run/user/1000/bundle"], "cgroups": { "path": "/" } },
        });
        fs::write(format!("{runtime}/state.json"), state.to_string()).unwrap();
        let status = json!({
            "pid": pid,
            "process-start-time": start,
            "cgroup-path": "/",
            "bundle": "/run/user/1000/bundle",
            "created": "2020-01-01T00:00:00Z",
        });
        fs::write(format!("{crun}/status"), status.to_string()).unwrap();
        let config = json!({ "ID": ID, "Name": "/forged", "State": { "Running": true, "Pid": pid }, "Config": { "Image": "forged" } });
        fs::write(format!("{docker}/config.v2.json"), config.to_string()).unwrap();
        succeeds("chown", &["-R", "1000:1000", at]);

        // Programs of the user's that are called as monitors are, whose parent is each.
        let monitors = [
            (
                "conmon",
                vec!["-c", ID, "-n", "forged", "-b", "/var/lib/containers/storage/overlay-containers/x/userdata"],
            ),
            (
                "containerd-shim-runc-v2",
                vec!["-namespace", "moby", "-id", ID, "-address", "/run/containerd/containerd.sock"],
            ),
        ];
        let mut users = Vec::new();
        for (program, arguments) in &monitors {
            let file = format!("/run/forged/{program}");
            fs::create_dir_all("/run/forged").unwrap();
            fs::copy("/bin/busybox", &file).unwrap();
            fs::set_permissions(&file, Permissions::from_mode(0o755)).unwrap();
            let (reader, writer) = std::io::pipe().unwrap();
            let mut monitor = Command::new(&file);
            // busybox takes the shell from its first argument's name, and the rest is what others read.
            monitor.arg0("sh").args(["-c", "sleep inf & echo $!; wait", program]).args(arguments);
            monitor.uid(1000).gid(1000).stdin(Stdio::null()).stdout(writer);
            let monitor = until_the_end(&mut monitor);
            let mut line = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(reader), &mut line).unwrap();
            users.extend([u64::from(monitor), line.trim().parse::<u64>().unwrap()]);
        }

        // A control group that was let to the user, with one in it that is called as Docker's are.
        let hierarchy =
            if fs::exists("/sys/fs/cgroup/pids").unwrap() { "/sys/fs/cgroup/pids" } else { "/sys/fs/cgroup" };
        let scope = format!("user.slice/user-1000.slice/user@1000.service/docker-{ID}.scope");
        fs::create_dir_all(format!("{hierarchy}/{scope}")).unwrap();
        let mut sleep = Command::new("sleep");
        let member = until_the_end(sleep.arg("inf").uid(1000).gid(1000).stdin(Stdio::null()));
        fs::write(format!("{hierarchy}/{scope}/cgroup.procs"), member.to_string()).unwrap();
        users.push(member.into());
        let _socket = UnixListener::bind(format!("{at}/docker.sock")).unwrap();

        let seen = Seen::now();
        assert_eq!(seen.of_process(pid), None, "{seen:?}");
        for container in seen.all().filter(|container| container["id"] == ID) {
            assert_eq!(container["confidence"], "claimed", "{container:#}");
            let main = container["pid"].as_u64().unwrap();
            assert!(main == 0 || users.contains(&main), "{container:#}");
        }
        for user in users {
            if let Some(id) = seen.of_process(user) {
                assert_eq!(seen.by_id(id)["confidence"], "claimed", "{seen:?}");
            }
        }

        // The same state where only root can write is believed.
        let of_root = format!("/run/runc/{ID}");
        fs::create_dir_all(&of_root).unwrap();
        fs::copy(format!("{runtime}/state.json"), format!("{of_root}/state.json")).unwrap();
        succeeds("chown", &["-R", "0:0", &of_root]);
        let seen = Seen::now();
        assert_eq!(seen.of_process(pid), Some(ID), "{seen:?}");
    });
}
