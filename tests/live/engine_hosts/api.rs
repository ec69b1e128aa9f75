//! Engines that are asked: those that answer, those that do not, and those that lie.

use std::fs::{self, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;

use super::cri::Message;
use super::docker::Docker;
use super::host::{Cgroups, lxkns_says, on_own_host, signal, succeeds, tried, until_the_end};
use super::seen::Seen;
use super::{image, podman};

/// What only Docker can say still is said where its files are gone: name, labels, image, health, version. One that is stopped
/// costs its deadline and a gap, and what else shows of its containers stays.
pub(super) fn docker(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let docker = Docker::start();
        let health = ["--health-cmd=true", "--health-interval=1h", "--label=tier=front"];
        let id = Docker::run("web", &health);
        Docker::run("idle", &[]);
        succeeds("docker", &["pause", "idle"]);
        let told = ["web", "idle"].map(Docker::told);
        Seen::by_engines().agrees(&told[1]);
        fs::remove_file(format!("/var/lib/docker/containers/{id}/config.v2.json")).unwrap();
        let pid = docker.daemon.pid();

        let seen = Seen::now();
        assert_ne!(seen.by_id(&id)["name"], "web", "nothing says so: {seen:?}");
        assert_eq!(seen.engine(pid)["version"], "");

        let docker_version = succeeds("docker", &["version", "--format", "{{.Server.Version}}"]);
        let docker_version = docker_version.trim();
        // With less power the socket is found by its path.
        for seen in [Seen::by_engines(), Seen::by_engines_without("net_admin")] {
            assert_eq!(seen.engine(pid)["version"], docker_version, "{seen:?}");
            seen.agrees(&told[0]);
            let web = seen.by_id(&id);
            let evidence = &web["evidence"][web["said-by"]["name"].as_u64().unwrap() as usize];
            assert_eq!((&evidence["kind"], &evidence["pid"]), (&"engine".into(), &pid.into()), "{web:#}");
            let inspected = Docker::inspect("web");
            assert_eq!(web["health"], "starting", "{web:#}");
            assert_eq!(inspected["State"]["Health"]["Status"], "starting");
            assert!(seen.engine(pid)["api"].as_str().unwrap().ends_with("/docker.sock"), "{seen:?}");
        }
        let why = lxkns_says(&["containers", "--engines", "--json"]).ok().answer_to("containers");
        let web = why.as_array().unwrap().iter().find(|container| container["id"] == id).unwrap();
        assert_eq!((&web["health"], &web["labels"]["tier"]), (&"starting".into(), &"front".into()), "{web:#}");

        signal(pid, Signal::STOP);
        let seen = Seen::by_engines();
        assert!(seen.has_gap("timed-out"), "{seen:?}");
        assert_eq!(seen.engine(pid)["version"], "", "{seen:?}");
        seen.agrees(&told[1]);
        assert_eq!(seen.of_process(told[0].pid), Some(&*id), "{seen:?}");
    });
}

/// Makes this process pass for an engine, and gives the socket on which it is asked.
fn pass_for(engine: &str, socket: &str) -> UnixListener {
    fs::write(format!("/proc/self/task/{}/comm", std::process::id()), engine).unwrap();
    UnixListener::bind(socket).unwrap()
}

/// One that listens and accepts nothing, however many wait, costs its deadline.
pub(super) fn silent(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _listener = pass_for("dockerd", "/run/docker.sock");
        let mut waiting = Vec::new();
        let check = || {
            let seen = Seen::by_engines();
            assert!(seen.has_gap("timed-out"), "{seen:?}");
            assert_eq!(seen.engine(std::process::id())["version"], "", "{seen:?}");
        };
        check();
        // As many as there is room for.
        let address = rustix::net::SocketAddrUnix::new("/run/docker.sock").unwrap();
        loop {
            use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
            match connect(&socket, &address) {
                Ok(()) => waiting.push(socket),
                Err(errno) => break assert_eq!(errno, rustix::io::Errno::AGAIN),
            }
        }
        check();
    });
}

/// Answers what was asked.
type Serve = fn(&mut UnixStream, &[u8]) -> std::io::Result<()>;

const VERSION: &str = r#"{"Version":"7","Components":[{"Name":"Engine","Version":"7"}]}"#;
const ID: &str = "4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4bf4";

fn whole(stream: &mut UnixStream, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn endlessly(stream: &mut UnixStream, begin: &str, again: &[u8]) -> std::io::Result<()> {
    stream.write_all(begin.as_bytes())?;
    loop {
        stream.write_all(again)?;
    }
}

/// Heads and bodies without end, wrong JSON, another engine, redirects, what is not HTTP: each is a gap, and no more. What one
/// says of processes that it does not have is not believed.
pub(super) fn false_engines(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let listener = pass_for("dockerd", "/run/docker.sock");
        let serve: Arc<Mutex<Serve>> = Arc::new(Mutex::new(|_, _| Ok(())));
        std::thread::spawn({
            let serve = serve.clone();
            move || {
                for stream in listener.incoming() {
                    let (mut stream, serve) = (stream.unwrap(), *serve.lock().unwrap());
                    // It writes until nobody reads.
                    std::thread::spawn(move || {
                        let mut asked = [0; 512];
                        let length = stream.read(&mut asked).unwrap_or(0);
                        serve(&mut stream, &asked[..length])
                    });
                }
            }
        });
        const HEAD: &str = "HTTP/1.1 200 OK\r\n";
        let cases: [(&str, Serve); 11] = [
            ("malformed", |_, _| Ok(())),
            ("malformed", |stream, _| stream.write_all(b"SSH-2.0-OpenSSH\r\n\r\n")),
            ("malformed", |stream, _| stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://localhost/\r\n\r\n")),
            ("malformed", |stream, _| whole(stream, "OK")),
            ("malformed", |stream, _| whole(stream, "[[[[")),
            ("malformed", |stream, _| whole(stream, r#"{"Version":"4","Components":[{"Name":"Podman Engine"}]}"#)),
            ("cut", |stream, _| endlessly(stream, HEAD, b"X-Head: again\r\n")),
            ("cut", |stream, _| write!(stream, "{HEAD}Content-Length: 1073741824\r\n\r\n{{")),
            ("cut", |stream, _| endlessly(stream, "HTTP/1.1 200 OK\r\n\r\n", &[b'['; 1 << 16])),
            ("cut", |stream, _| {
                let part = [b"10000\r\n".as_slice(), &[b' '; 1 << 16], b"\r\n"].concat();
                endlessly(stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &part)
            }),
            ("timed-out", |stream, _| {
                write!(stream, "{HEAD}Content-Length: 9\r\n\r\n{{")?;
                // Until nobody waits.
                let mut all = Vec::new();
                stream.read_to_end(&mut all).map(drop)
            }),
        ];
        for (at, (cause, case)) in cases.into_iter().enumerate() {
            *serve.lock().unwrap() = case;
            let seen = Seen::by_engines();
            assert!(seen.has_gap(cause), "case {at}: {seen:?}");
            assert_eq!(seen.engine(std::process::id())["version"], "", "case {at}: {seen:?}");
        }

        // A process of root's that is in no container.
        let pid = until_the_end(Command::new("sleep").arg("inf").stdin(Stdio::null()));
        *serve.lock().unwrap() = |stream, asked| match asked.starts_with(b"GET /version ") {
            true => whole(stream, VERSION),
            false => {
                let state = r#""State":"running","Names":["/forged"]"#;
                whole(stream, &format!(r#"[{{"Id":"{ID}",{state},"Pid":1}}]"#))
            }
        };
        let seen = Seen::by_engines();
        assert_eq!(seen.engine(std::process::id())["version"], "7", "{seen:?}");
        assert_eq!((seen.of_process(pid.into()), seen.of_process(1), seen.has(ID)), (None, None, false), "{seen:?}");

        // Where there is such a container, what nothing else says is taken, and another name is shown beside what is.
        let hierarchy =
            if fs::exists("/sys/fs/cgroup/pids").unwrap() { "/sys/fs/cgroup/pids" } else { "/sys/fs/cgroup" };
        let member = until_the_end(Command::new("unshare").args(["--uts", "sleep", "inf"]).stdin(Stdio::null()));
        fs::create_dir_all(format!("{hierarchy}/docker/{ID}")).unwrap();
        fs::write(format!("{hierarchy}/docker/{ID}/cgroup.procs"), member.to_string()).unwrap();
        let config = format!("/var/lib/docker/containers/{ID}");
        let seen = Seen::by_engines();
        assert_eq!(seen.by_id(ID)["name"], "forged", "{seen:?}");
        fs::create_dir_all(&config).unwrap();
        let text = format!(r#"{{"ID":"{ID}","Name":"/true","State":{{}},"Config":{{"Image":"i"}}}}"#);
        fs::write(format!("{config}/config.v2.json"), text).unwrap();
        let seen = Seen::by_engines();
        let disagreements = seen.by_id(ID)["disagreements"].as_array().unwrap();
        let values: Vec<_> = disagreements
            .iter()
            .filter(|it| it["about"] == "name")
            .flat_map(|it| it["values"].as_array().unwrap())
            .collect();
        let mut names: Vec<_> = values.iter().map(|value| value["value"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["forged", "true"], "{seen:?}");
    });
}

/// Writes frames of HTTP/2: type, flags, stream, payload.
fn frames(stream: &mut UnixStream, all: &[(u8, u8, u8, &[u8])]) -> std::io::Result<()> {
    for &(kind, flags, id, payload) in all {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        stream.write_all(&[&length[1..], &[kind, flags, 0, 0, 0, id], payload].concat())?;
    }
    Ok(())
}

/// A containerd that lies: other protocols and frames without end are gaps, and no process is in a container because it says so.
pub(super) fn false_containerd(name: &str) {
    const SETTINGS: (u8, u8, u8, &[u8]) = (4, 0, 0, &[]);
    const HEADERS: (u8, u8, u8, &[u8]) = (1, 4, 1, b"\x88");
    on_own_host(name, Cgroups::AsHere, || {
        let listener = pass_for("containerd", "/run/containerd.sock");
        let pid = until_the_end(Command::new("unshare").args(["--uts", "sleep", "inf"]).stdin(Stdio::null()));
        let true_answer = move |stream: &mut UnixStream, asked: &[u8]| {
            let is_for = |method: &str| asked.windows(method.len()).any(|part| part == method.as_bytes());
            let task = |pid: u64| Message::new().text(2, "forged").value(3, pid).value(4, 2);
            let message = if is_for("Version/Version") {
                Message::new().text(1, "7")
            } else if is_for("Namespaces/List") {
                Message::new().message(1, Message::new().text(1, "default"))
            } else if is_for("Containers/List") {
                Message::new().message(1, Message::new().text(1, "forged").text(3, "image"))
            } else {
                Message::new().message(1, task(1)).message(1, task(pid.into()))
            };
            let length = u32::try_from(message.bytes().len()).unwrap().to_be_bytes();
            let body = [&[0], &length[..], message.bytes()].concat();
            frames(stream, &[SETTINGS, HEADERS, (0, 0, 1, &body), (1, 5, 1, b"")])
        };
        let case = Arc::new(Mutex::new(0));
        std::thread::spawn({
            let case = case.clone();
            move || {
                for stream in listener.incoming() {
                    let (mut stream, case) = (stream.unwrap(), *case.lock().unwrap());
                    // It writes until nobody reads.
                    std::thread::spawn(move || {
                        let mut asked = [0; 1024];
                        let length = stream.read(&mut asked).unwrap_or(0);
                        match case {
                            0 => whole(&mut stream, VERSION),
                            1 => frames(&mut stream, &[SETTINGS, (1, 5, 1, b"\x88")]),
                            2 => frames(&mut stream, &[SETTINGS, (0, 1, 1, b"\0\0\0\0\x09\x08")]),
                            3 => {
                                frames(&mut stream, &[SETTINGS])?;
                                loop {
                                    frames(&mut stream, &[(1, 0, 1, &[0; 1 << 14])])?;
                                }
                            }
                            4 => {
                                frames(&mut stream, &[SETTINGS])?;
                                loop {
                                    frames(&mut stream, &[(0, 0, 1, &[0; 1 << 14])])?;
                                }
                            }
                            _ => true_answer(&mut stream, &asked[..length]),
                        }
                    });
                }
            }
        });
        for (at, cause) in ["malformed", "malformed", "malformed", "cut", "cut"].into_iter().enumerate() {
            *case.lock().unwrap() = at;
            let seen = Seen::by_engines();
            assert!(seen.has_gap(cause), "case {at}: {seen:?}");
            assert_eq!(seen.engine(std::process::id())["version"], "", "case {at}: {seen:?}");
        }
        *case.lock().unwrap() = usize::MAX;
        let seen = Seen::by_engines_in_time();
        assert_eq!(seen.engine(std::process::id())["version"], "7", "{seen:?}");
        let found = (seen.of_process(pid.into()), seen.of_process(1), seen.has("forged"));
        assert_eq!(found, (None, None, false), "{seen:?}");
    });
}

/// Sockets to which nobody may connect: one where a process that is no engine listens, as systemd does for an engine that is not
/// started, also in the place of the engine's own; and that of a user's process which is called as an engine is.
pub(super) fn only_systemd_listens(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let engine = "/run/forged/dockerd";
        fs::create_dir_all("/run/forged").unwrap();
        fs::copy("/bin/busybox", engine).unwrap();
        fs::set_permissions(engine, Permissions::from_mode(0o755)).unwrap();
        let start = |listens_on: Option<UnixListener>, uid: u32| {
            let mut command = Command::new(engine);
            command.arg0("sleep").arg("1000000").uid(uid).gid(uid);
            command.stdin(listens_on.map_or_else(Stdio::null, |socket| Stdio::from(OwnedFd::from(socket))));
            until_the_end(&mut command)
        };
        // Nobody has this one's path any more.
        let of_engine = UnixListener::bind("/run/docker.sock").unwrap();
        fs::remove_file("/run/docker.sock").unwrap();
        let of_user = UnixListener::bind("/run/user.sock").unwrap();
        let others = [UnixListener::bind("/run/docker.sock").unwrap(), of_user.try_clone().unwrap()];
        others.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
        start(Some(of_user), 1000);
        let idle = start(None, 0);
        let check = || {
            for seen in [Seen::by_engines(), Seen::by_engines_without("net_admin")] {
                assert!(seen.has_gap("not-tried"), "{seen:?}");
                assert_eq!(seen.engine(idle)["version"], "", "{seen:?}");
                for listener in &others {
                    let accepted = listener.accept();
                    assert!(accepted.is_err_and(|error| error.kind() == ErrorKind::WouldBlock), "connected: {seen:?}");
                }
            }
        };
        check();
        start(Some(of_engine), 0);
        check();
    });
}

/// podman's service: labels, and those of pods, which no file of it has in a form that others can read.
pub(super) fn podman(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        podman::lay_out("crun");
        succeeds("podman", &["pod", "create", "--name", "shop", "--label", "tier=front", "--infra-image", image::NAME]);
        podman::run("web", &["--pod", "shop", "--label", "a=b"]);
        let told = podman::told("web");
        let socket = "unix:///run/podman/podman.sock";
        fs::create_dir_all("/run/podman").unwrap();
        let mut service = Command::new("podman");
        service.args(["system", "service", "--time=0", socket]).stdin(Stdio::null());
        let service = until_the_end(service.stdout(Stdio::null()).stderr(Stdio::null()));
        let ask = || tried("podman", &["--url", socket, "version", "--format", "{{.Server.Version}}"]);
        let version = (0..200).map(|_| ask()).find(|said| said.code == Some(0)).expect("the service answers");
        let seen = Seen::by_engines_in_time();
        seen.agrees(&told);
        assert_eq!(seen.by_id(&told.id)["labels"]["a"], "b", "{seen:?}");
        assert_eq!(seen.group("shop")["labels"]["tier"], "front", "{seen:?}");
        assert_eq!(seen.engine(service)["version"], version.text().trim(), "{seen:?}");
    });
}
