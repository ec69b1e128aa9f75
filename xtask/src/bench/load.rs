//! `wrk` on the service, and on nginx with the same bytes.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use super::http;
use super::service::{ANY, Service, ServiceArgs, cpu_of};
use super::text::aligned;
use crate::run::output;

/// Where nginx listens: nobody else is in the network namespace.
const NGINX: &str = "127.0.0.1:8080";
/// How often each is loaded; the best counts.
const TIMES: usize = 3;

/// One run of `wrk`.
#[derive(Clone)]
struct Run {
    requests: f64,
    /// Of wrk's clock.
    seconds: f64,
    /// Of the processor, of who served.
    cpu: f64,
    /// How long half, and all but one of a hundred, took at most.
    half: String,
    most: String,
}

/// The best runs on the service and on nginx.
pub(super) struct Load {
    bytes: usize,
    /// Which bodies are sent: the name of their encoding, and who served them.
    runs: Vec<(&'static str, Run)>,
}

impl Load {
    pub(super) fn of(args: &ServiceArgs, service: &Service, path: &str) -> anyhow::Result<Self> {
        let reply = service.get(path, ANY)?;
        let directory = tempfile::tempdir()?;
        let nginx = Nginx::start(&args.nginx, directory.path(), &reply)?;
        let same = http::get(NGINX.parse()?, "/answer", "")?;
        ensure!(same.body == reply.body, "nginx serves something else");
        let ours = format!("http://{}{path}", service.address);
        let theirs = format!("http://{NGINX}/answer");
        let mut runs: Vec<(&str, Option<Run>)> = vec![("lxknsd", None), ("lxknsd, zstd", None), ("nginx", None)];
        for _ in 0..TIMES {
            for (name, best) in &mut runs {
                let (url, header) = match *name {
                    "nginx" => (&theirs, None),
                    "lxknsd" => (&ours, None),
                    _ => (&ours, Some("Accept-Encoding: zstd")),
                };
                let cpu = || -> anyhow::Result<Duration> {
                    if *name == "nginx" { nginx.cpu() } else { Ok(service.cpu()?.iter().map(|(_, time)| *time).sum()) }
                };
                let before = cpu()?;
                let mut run = wrk(args, url, header)?;
                run.cpu = cpu()?.saturating_sub(before).as_secs_f64();
                println!(
                    "{name}: {:.0} requests in {:.1} s, {:.2} s of processor time",
                    run.requests, run.seconds, run.cpu
                );
                // By processor time: the clock counts what others on the host take.
                if best.as_ref().is_none_or(|best| run.each() < best.each()) {
                    *best = Some(run);
                }
            }
        }
        let runs = runs.into_iter().filter_map(|(name, run)| Some((name, run?))).collect();
        Ok(Self { bytes: reply.body.len(), runs })
    }

    pub(super) fn table(small: &Self, large: &Self) -> String {
        let heads = ["bytes", "served by", "requests/s", "cores", "\u{b5}s of CPU each", "times nginx", "50 %", "99 %"];
        let mut rows = vec![heads.map(str::to_owned)];
        for load in [small, large] {
            let nginx = load.runs.last().map_or(f64::NAN, |(_, run)| run.each());
            for (name, run) in &load.runs {
                rows.push([
                    load.bytes.to_string(),
                    (*name).to_owned(),
                    format!("{:.0}", run.requests / run.seconds),
                    format!("{:.2}", run.cpu / run.seconds),
                    format!("{:.1}", run.each() * 1e6),
                    format!("{:.1}", run.each() / nginx),
                    run.half.clone(),
                    run.most.clone(),
                ]);
            }
        }
        aligned(&rows)
    }
}

impl Run {
    /// Seconds of the processor for each request.
    fn each(&self) -> f64 {
        self.cpu / self.requests
    }
}

fn wrk(args: &ServiceArgs, url: &str, header: Option<&str>) -> anyhow::Result<Run> {
    let mut command = Command::new(&args.wrk);
    command.args(["--threads=1", "--connections=64", "--latency", "--timeout=60s", "--header", ANY.trim_end()]);
    command
        .arg(format!("--duration={}s", args.loaded))
        .args(header.map(|header| ["--header", header]).into_iter().flatten());
    of_text(&output(command.arg(url))?)
}

/// What `wrk` prints.
fn of_text(text: &str) -> anyhow::Result<Run> {
    ensure!(!text.contains("Non-2xx") && !text.contains("Socket errors"), "not all requests were answered: {text}");
    let line = text.lines().find(|line| line.contains(" requests in ")).context("wrk counts no requests")?;
    let (requests, rest) = line.trim().split_once(" requests in ").context("a count")?;
    let (time, _) = rest.split_once(',').context("a time")?;
    let word = |mark: &str| {
        let found = text.lines().find_map(|line| line.trim().strip_prefix(mark));
        found.map(|word| word.trim().to_owned()).with_context(|| format!("wrk prints no {mark}"))
    };
    let seconds = match time.strip_suffix('m') {
        Some(minutes) => minutes.parse::<f64>()? * 60.0,
        None => time.trim_end_matches('s').parse()?,
    };
    Ok(Run { requests: requests.parse()?, seconds, cpu: 0.0, half: word("50%")?, most: word("99%")? })
}

/// nginx in the foreground, until it is dropped: one process.
struct Nginx(Child);

impl Nginx {
    fn start(program: &Path, directory: &Path, reply: &http::Reply) -> anyhow::Result<Self> {
        let at = directory.display();
        fs::write(directory.join("answer"), &reply.body)?;
        // Those that it sends of its own accord are not said twice.
        let own = ["content-length", "content-type", "etag", "date", "transfer-encoding", "last-modified"];
        let headers = reply.headers.iter().filter(|(name, _)| !own.contains(&name.to_ascii_lowercase().as_str()));
        let headers: String = headers.map(|(name, value)| format!("add_header {name} \"{value}\";\n")).collect();
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log /dev/null; sendfile on; tcp_nopush on; keepalive_requests 1000000000;\n\
             client_body_temp_path {at}/t1; proxy_temp_path {at}/t2; fastcgi_temp_path {at}/t3; uwsgi_temp_path {at}/t4;\n\
             scgi_temp_path {at}/t5; default_type application/json; open_file_cache max=10;\n\
             server {{ listen {NGINX}; root {at}; location / {{\n{headers}}} }} }}\n"
        );
        let file = directory.join("nginx.conf");
        fs::write(&file, configuration)?;
        let mut command = Command::new(program);
        command.arg("-e").arg(directory.join("error")).arg("-c").arg(&file).arg("-p").arg(directory);
        let child =
            command.stdin(Stdio::null()).spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let mut nginx = Self(child);
        let began = Instant::now();
        while http::get(NGINX.parse()?, "/answer", "").is_err() {
            ensure!(nginx.0.try_wait()?.is_none() && began.elapsed() < Duration::from_secs(30), "nginx does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(nginx)
    }

    fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.0.id())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // It has ended already, or ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Running 1s test @ http://127.0.0.1:8080/answer
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.39ms  417.94us   6.86ms   89.20%
    Req/Sec    46.38k     3.12k   49.92k    81.82%
  Latency Distribution
     50%    1.31ms
     75%    1.45ms
     90%    1.67ms
     99%    3.17ms
  50725 requests in 1.10s, 241.42MB read
Requests/sec:  46116.34
Transfer/sec:    219.48MB
";

    #[test]
    fn what_wrk_prints_is_understood() {
        let run = of_text(TEXT).unwrap();
        assert_eq!(
            (run.requests, run.seconds, run.half.as_str(), run.most.as_str()),
            (50725.0, 1.1, "1.31ms", "3.17ms")
        );
        assert_eq!(of_text(&TEXT.replace("1.10s", "2.00m")).unwrap().seconds, 120.0);
        assert!(of_text(&format!("{TEXT}  Non-2xx or 3xx responses: 3\n")).is_err());
        assert!(of_text("").is_err());
    }
}
