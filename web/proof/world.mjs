// What the proof makes on its own host: network namespaces and links, containers of Docker, podman and crun, processes; and the
// agent.

import { execFileSync, spawn } from "node:child_process";
import { existsSync, readFileSync, mkdirSync, copyFileSync, statSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const BUILT = new URL("../../target/debug/lxknsd", import.meta.url).pathname;
const LXKNSD = process.env["LXKNSD"] ?? (existsSync(BUILT) ? BUILT : undefined);

/** Why there can be no such host; `false` where there can. */
export const LACKS = process.env["LXKNS_PROOF"] !== "world" ? "takes `sh proof/run.sh` as root" : LXKNSD === undefined ? "no lxknsd is built; $LXKNSD can name one" : false;

/** Why there can be no container of Docker; `false` where there can. */
export const LACKS_DOCKER = ["/usr/sbin/dockerd", "/usr/bin/dockerd"].some(existsSync) ? false : "dockerd is missing";

export const HOSTILE = "<img src=x onerror=alert(1)>";
/** The longest name that a file can have, in a namespace's. */
export const LONG = `long-${"n".repeat(250)}`;

const run = (program, ...args) => execFileSync(program, args, { stdio: ["ignore", "pipe", "inherit"], encoding: "utf8" }).trim();
export const ip = (...args) => run("ip", ...args);

/** The inode number of a network namespace by its name. */
export const netns = (name) => statSync(`/run/netns/${name}`).ino;

/** Starts a program that says a line when it is ready, and ends with this one. */
export async function start(...command) {
  const child = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await new Promise((ready, failed) => {
    createInterface(child.stdout).once("line", (line) => ready([line]));
    child.once("exit", (code) => failed(new Error(`${command.join(" ")} ended with ${code}`)));
  });
  return { pid: child.pid, line, end: () => new Promise((done) => child.once("exit", done).stdin.end()) };
}

const UNTIL_END = `process.stdin.resume().on("end", () => process.exit())`;
const LISTEN = `const s = require("net").createServer().listen(0, () => console.log(s.address().port)); ${UNTIL_END}`;
const WAIT = `console.log("ready"); ${UNTIL_END}`;
export const idle = [process.execPath, "-e", WAIT];

function rootfs(path) {
  for (const directory of ["bin", "proc", "dev", "sys", "etc", "run", "tmp"]) mkdirSync(`${path}/${directory}`, { recursive: true });
  copyFileSync("/bin/busybox", `${path}/bin/sleep`);
  return path;
}

/** Runs a container of podman. It gets no control group, so that it takes none of this host's. */
function podman(name, ...options) {
  return run("podman", "--cgroup-manager", "cgroupfs", "run", "--detach", "--name", name, "--cgroups", "disabled", ...options, "--rootfs", "/run/box", "/bin/sleep", "100000");
}

/** Runs a container of crun, which lets its name be anything. */
function crun(name) {
  mkdirSync("/run/bundle");
  rootfs("/run/bundle/rootfs");
  execFileSync("crun", ["spec"], { cwd: "/run/bundle" });
  const config = JSON.parse(readFileSync("/run/bundle/config.json", "utf8"));
  config.process.terminal = false;
  config.process.args = ["/bin/sleep", "100000"];
  writeFileSync("/run/bundle/config.json", JSON.stringify(config));
  execFileSync("crun", ["--cgroup-manager", "disabled", "run", "--detach", "--bundle", "/run/bundle", name], { stdio: "ignore" });
}

/** Starts Docker, and a container with labels, on Docker's own bridge. It ends with this host. */
async function docker() {
  const daemon = spawn("dockerd", ["--storage-driver=overlay2"], { stdio: ["ignore", "ignore", "pipe"] });
  const said = [];
  await new Promise((ready, failed) => {
    createInterface(daemon.stderr).on("line", (line) => {
      said.push(line);
      if (line.includes("API listen on")) ready();
    });
    daemon.once("exit", (code) => failed(new Error(`dockerd ended with ${code}: ${said.slice(-20).join("\n")}`)));
  });
  run("sh", "-c", "tar --create --directory /run/box . | docker import - localhost/proof:1");
  run("docker", "run", "--detach", "--name", "dock", "--label", "org.example.tier=front", "localhost/proof:1", "/bin/sleep", "100000");
  return JSON.parse(run("docker", "inspect", "dock"))[0];
}

/** Makes all of it. */
export async function make() {
  rootfs("/run/box");
  for (const name of ["red", "blue", HOSTILE, LONG]) ip("netns", "add", name);
  // A bridge with a port, a veth between two namespaces, and what lies upon links.
  ip("link", "add", "br0", "type", "bridge");
  ip("address", "add", "192.0.2.1/24", "dev", "br0");
  ip("link", "set", "br0", "up");
  ip("link", "add", "port0", "master", "br0", "type", "veth", "peer", "name", "eth0", "netns", "red");
  ip("link", "set", "port0", "up");
  ip("-n", "red", "address", "add", "192.0.2.7/24", "dev", "eth0");
  ip("-n", "red", "link", "set", "eth0", "up");
  ip("link", "add", "lxp-r", "netns", "red", "type", "veth", "peer", "name", "lxp-b", "netns", "blue");
  ip("-n", "red", "address", "add", "198.51.100.7/24", "dev", "lxp-r");
  ip("-n", "red", "link", "set", "lxp-r", "up");
  ip("link", "add", "link", "br0", "name", "mac0", "netns", "red", "type", "macvlan");
  ip("-n", "red", "link", "set", "mac0", "up");
  ip("link", "add", "vx0", "type", "vxlan", "id", "4", "dstport", "4789");
  ip("link", "set", "vx0", "up");
  ip("-n", "red", "tuntap", "add", "tap0", "mode", "tap");
  ip("-n", "red", "link", "set", "tap0", "up");
  const dock = LACKS_DOCKER ? undefined : await docker();
  const web = podman("web", "--network", "none");
  podman("side", "--network", "container:web");
  podman("bare", "--privileged", "--network", "host");
  podman("mapped", "--network", "none", "--uidmap", "0:100000:65536");
  crun(HOSTILE);
  // A mount over another, and a file system that is seen in two places.
  mkdirSync("/run/over");
  for (const source of ["under", "upper"]) run("mount", "-t", "tmpfs", source, "/run/over");
  const listener = await start("ip", "netns", "exec", "red", process.execPath, "-e", LISTEN);
  const apart = await start("unshare", "--uts", "--ipc", ...idle);
  return { web, dock, listener, port: Number(listener.line), apart };
}

/** On a busy machine everything takes longer, and nothing else in here is about time. */
const PATIENT = ["--timeout", "120", "--scan-timeout", "300", "--header-timeout", "300", "--write-timeout", "300", "--history", "64"];

/** Starts the agent with these options; it has `url`, `stop` and `again`. */
export async function agent(...options) {
  const one = { url: "", child: undefined };
  const begin = async (listen) => {
    const child = spawn(LXKNSD, ["--listen", listen, "--log", "json", "--expose-command-lines", ...PATIENT, ...options], { argv0: "lxknsd", stdio: ["ignore", "ignore", "pipe"] });
    one.child = child;
    const failed = new Promise((_, fail) => child.once("exit", (code) => fail(new Error(`lxknsd ended with ${code}`))));
    failed.catch(() => {});
    const ready = new Promise((done) => {
      createInterface(child.stderr).on("line", (line) => {
        const said = JSON.parse(line);
        if (said.message === "listening") one.url = `${said.address}/`;
        if (said.message === "ready" && said.process === undefined) done();
        if (["WARN", "ERROR"].includes(said.level)) console.error(line);
      });
    });
    await Promise.race([ready, failed]);
  };
  await begin("127.0.0.1:0");
  one.stop = () => new Promise((done) => {
    if (one.child.exitCode !== null) return done();
    one.child.once("exit", done);
    one.child.kill();
  });
  one.again = () => begin(one.url.replace("http://", "").replace("/", ""));
  return one;
}
