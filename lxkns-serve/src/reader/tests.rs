//! Shared scans and kept answers, without a host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use lxkns_core::Snapshot;
use lxkns_core::model::{DiscoveryOptions, Host};

use super::cache::{Answer, Cache};
use super::scans::{NoScan, Scans};
use super::wake::Wake;
use crate::protocol::{Content, Kind, Question};

const LONG: Duration = Duration::from_secs(60);

fn snapshot() -> Snapshot {
    Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH)
}

/// Scans that end when they are told to, with what comes of them.
fn scans(timeout: Duration) -> (Arc<Scans>, mpsc::Sender<Result<Snapshot, String>>, mpsc::Receiver<()>) {
    scans_of_age(timeout, Duration::ZERO)
}

/// The same, but clients must accept scans of this age.
fn scans_of_age(
    timeout: Duration,
    min_age: Duration,
) -> (Arc<Scans>, mpsc::Sender<Result<Snapshot, String>>, mpsc::Receiver<()>) {
    let cancel: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
    let scans = Arc::new(Scans::new(timeout, min_age, cancel, Arc::new(Wake::new().unwrap())));
    let (result, results) = mpsc::channel();
    let (begun, begins) = mpsc::channel();
    let shared = Arc::clone(&scans);
    std::thread::spawn(move || {
        shared.run(|| {
            begun.send(()).unwrap();
            results.recv().unwrap_or_else(|_| Err("over".to_owned()))
        });
    });
    (scans, result, begins)
}

/// A client that asks, and waits for the number of the scan that it gets.
fn asked(scans: &Arc<Scans>, age: Duration) -> JoinHandle<u64> {
    let scans = Arc::clone(scans);
    std::thread::spawn(move || scans.get(age).unwrap().number)
}

#[test]
fn who_asks_while_a_scan_runs_gets_it() {
    let (scans, result, begins) = scans(LONG);
    let first = asked(&scans, LONG);
    begins.recv().unwrap();
    let others: Vec<_> = (0..8)
        .map(|_| {
            let (scans, (asks, asked)) = (Arc::clone(&scans), mpsc::channel());
            let thread = std::thread::spawn(move || {
                asks.send(()).unwrap();
                scans.get(LONG).unwrap().number
            });
            asked.recv().unwrap();
            thread
        })
        .collect();
    result.send(Ok(snapshot())).unwrap();
    assert_eq!(first.join().unwrap(), 1);
    for other in others {
        assert_eq!(other.join().unwrap(), 1);
    }
    assert!(begins.try_recv().is_err(), "one scan was enough");
    // A client that wants a newer one gets one.
    let newer = asked(&scans, Duration::ZERO);
    begins.recv().unwrap();
    result.send(Ok(snapshot())).unwrap();
    assert_eq!(newer.join().unwrap(), 2);
    assert_eq!(scans.get(LONG).unwrap().number, 2);
    assert_eq!(scans.figures().done, 2);
}

#[test]
fn a_scan_that_began_before_is_not_one_since() {
    let (scans, result, begins) = scans(LONG);
    let first = asked(&scans, LONG);
    begins.recv().unwrap();
    let then = Instant::now();
    let since = {
        let scans = Arc::clone(&scans);
        std::thread::spawn(move || scans.since(then).unwrap())
    };
    // Whoever waits is known by the scan that comes after the one that runs.
    result.send(Ok(snapshot())).unwrap();
    assert_eq!(first.join().unwrap(), 1);
    begins.recv().unwrap();
    result.send(Ok(snapshot())).unwrap();
    let since = since.join().unwrap();
    assert!(since.number == 2 && since.began >= then);
    assert_eq!(scans.since(then).unwrap().number, 2, "it is there");
}

#[test]
fn a_scan_that_fails_is_an_error_and_the_next_is_tried() {
    let (scans, result, _begins) = scans(LONG);
    result.send(Err("no procfs".to_owned())).unwrap();
    assert_eq!(scans.get(LONG).unwrap_err(), NoScan::Failed("no procfs".to_owned()));
    result.send(Ok(snapshot())).unwrap();
    assert_eq!(scans.get(LONG).unwrap().number, 1);
    assert_eq!((scans.figures().failed, scans.figures().done), (1, 1));
}

#[test]
fn a_scan_that_hangs_is_given_up_and_said_to_be_stuck() {
    const SHORT: Duration = Duration::from_millis(1);
    let (scans, _result, begins) = scans(SHORT);
    assert_eq!(scans.get(LONG).unwrap_err(), NoScan::TimedOut(SHORT));
    begins.recv().unwrap();
    while scans.stuck().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(scans.get(LONG).unwrap_err(), NoScan::TimedOut(SHORT));
}

#[test]
fn an_answer_is_made_once_and_forgotten_when_there_is_no_room() {
    let cache = Cache::new(10_000);
    let made = AtomicUsize::new(0);
    let ask = |scan: u64, target: &str| {
        let parameters = vec![("target".to_owned(), target.to_owned())];
        cache.get(scan, &Question { kind: Kind::Why, parameters }, || {
            made.fetch_add(1, Ordering::Relaxed);
            Answer::new(200, Content::Json, format!("{scan}{target}").into_bytes().repeat(1000))
        })
    };
    let first = ask(1, "a");
    assert!(Arc::ptr_eq(&first, &ask(1, "a")));
    assert_eq!(made.load(Ordering::Relaxed), 1);
    assert_ne!(first.tag, ask(1, "b").tag);
    for target in ["c", "d", "e", "f", "g", "h"] {
        ask(1, target);
        assert!(cache.bytes() <= 10_000);
    }
    assert!(!Arc::ptr_eq(&first, &ask(1, "a")), "the oldest made room");
    ask(2, "a");
    cache.keep_only(2);
    let before = made.load(Ordering::Relaxed);
    ask(2, "a");
    assert_eq!(made.load(Ordering::Relaxed), before);
    ask(1, "h");
    assert_eq!(made.load(Ordering::Relaxed), before + 1);
}

#[test]
fn questions_are_as_dear_as_they_are_long() {
    // Most of what this takes is the question: many parameters without a value.
    let cache = Cache::new(100_000);
    let question =
        |number: u32| Question { kind: Kind::Why, parameters: vec![(number.to_string(), String::new()); 32] };
    for number in 0..1000 {
        cache.get(1, &question(number), || Answer::new(400, Content::Problem, Vec::new()));
    }
    // The texts of a pair alone are two of 24 bytes, and each question is there twice.
    let kept = (0..1000).filter(|&number| cache.find(1, &question(number)).is_some()).count();
    assert!((1..=100_000 / (2 * 32 * 48)).contains(&kept), "{kept}");
}

#[test]
fn clients_that_want_new_scans_all_the_time_get_some() {
    const NOW: Duration = Duration::ZERO;
    let (scans, result, begins) = scans_of_age(LONG, LONG);
    result.send(Ok(snapshot())).unwrap();
    for _ in 0..1000 {
        assert_eq!(scans.get(NOW).unwrap().number, 1);
    }
    assert_eq!(begins.try_iter().count(), 1);
    // What follows the host waits for nobody.
    result.send(Err("no procfs".to_owned())).unwrap();
    let now = Instant::now();
    assert_eq!(scans.since(now).unwrap_err(), NoScan::Failed("no procfs".to_owned()));
    assert_eq!(scans.get(NOW).unwrap().number, 1, "the last one is young enough");
    assert_eq!(begins.try_iter().count(), 1);

    // Nor is one made for each that asks where none can be made.
    let (scans, result, begins) = scans_of_age(LONG, LONG);
    result.send(Err("no procfs".to_owned())).unwrap();
    for _ in 0..1000 {
        assert_eq!(scans.get(NOW).unwrap_err(), NoScan::Failed("no procfs".to_owned()));
    }
    assert_eq!(begins.try_iter().count(), 1);

    let (scans, result, begins) = scans_of_age(LONG, Duration::from_nanos(1));
    for number in 1..4 {
        result.send(Ok(snapshot())).unwrap();
        while scans.get(NOW).unwrap().number < number {
            std::thread::yield_now();
        }
    }
    assert!(begins.try_iter().count() >= 3, "there is one again when the last is old enough");
}

#[test]
fn who_watches_gets_the_last_scan_while_the_next_takes_long() {
    const NOW: Duration = Duration::ZERO;
    // Two seconds of patience, and a minute for each scan.
    let (scans, result, begins) = scans(Duration::from_secs(16));
    let first = scans.get_soon(LONG);
    assert_eq!(first.unwrap_err(), NoScan::TimedOut(Duration::from_secs(2)), "there is none yet");
    result.send(Ok(snapshot())).unwrap();
    assert_eq!(scans.get(LONG).unwrap().number, 1);
    begins.recv().unwrap();
    // The next does not end.
    assert_eq!(scans.get_soon(NOW).unwrap().number, 1);
    begins.recv().unwrap();
    result.send(Err("no procfs".to_owned())).unwrap();
    while scans.figures().failed == 0 {
        std::thread::yield_now();
    }
    // After a failure the last one is no longer good.
    assert_eq!(scans.get_soon(NOW).unwrap_err(), NoScan::TimedOut(Duration::from_secs(2)));
}

#[test]
fn who_watches_hears_of_a_scan_that_hangs() {
    const SHORT: Duration = Duration::from_millis(1);
    let (scans, result, begins) = scans(SHORT);
    // In a millisecond it is given up before it ends, or not.
    let _ = scans.get(LONG);
    begins.recv().unwrap();
    result.send(Ok(snapshot())).unwrap();
    while scans.figures().done == 0 {
        std::thread::yield_now();
    }
    assert_eq!(scans.get(LONG).unwrap().number, 1);
    assert_eq!(scans.get(Duration::ZERO).unwrap_err(), NoScan::TimedOut(SHORT));
    begins.recv().unwrap();
    while scans.stuck().is_none() {
        std::thread::yield_now();
    }
    assert_eq!(scans.get_soon(Duration::ZERO).unwrap_err(), NoScan::TimedOut(SHORT));
}
