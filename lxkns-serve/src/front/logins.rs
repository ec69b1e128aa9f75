//! Passwords, which take long to check on purpose: on a thread of their own, so that requests of others go on meanwhile.
//!
//! A password that was right, or wrong, is known by a salted hash from then on. How many others a client may try is
//! limited, and how many wait for the thread.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use ring::rand::SecureRandom as _;
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::watch;

use super::bucket::Bucket;

/// The most passwords that wait to be checked.
const MOST_WAITING: usize = 32;
/// The most that are known, of either kind.
const MOST_KNOWN: usize = 1024;
/// How many wrong passwords a client may try.
const TRIES: u32 = 10;
/// After what time it may try one more.
pub(super) const NEXT_TRY: Duration = Duration::from_secs(6);
/// The most clients whose tries are counted.
const MOST_CLIENTS: usize = 4096;
/// How much the thread stands back behind that which serves.
const NICE: i32 = 10;

/// A salted hash of a user, what it must match, and a password.
type Key = [u8; 32];

/// Checks passwords.
pub(super) struct Logins {
    shared: Arc<Shared>,
    jobs: SyncSender<Job>,
}

struct Shared {
    state: Mutex<State>,
    salt: [u8; 32],
}

#[derive(Default)]
struct State {
    right: FxHashSet<Key>,
    wrong: FxHashSet<Key>,
    /// Those that are being checked.
    open: FxHashMap<Key, watch::Receiver<Option<bool>>>,
    tries: FxHashMap<IpAddr, Bucket>,
}

/// A password to be checked.
struct Job {
    key: Key,
    client: IpAddr,
    password: Vec<u8>,
    hash: String,
    /// Whether there is such a user. If not, it takes as long to say so.
    is_user: bool,
    done: watch::Sender<Option<bool>>,
}

/// The client, or all together, have tried too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Logins {
    /// Starts the thread, which must be there before the system calls that start one are given up.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut salt = [0; 32];
        ring::rand::SystemRandom::new().fill(&mut salt).map_err(|_| anyhow::anyhow!("getrandom failed"))?;
        let shared = Arc::new(Shared { state: Mutex::default(), salt });
        let (jobs, next) = sync_channel(MOST_WAITING);
        let (says, hears) = sync_channel(1);
        let of_thread = Arc::clone(&shared);
        let run = move || {
            // Where it cannot, it competes.
            let _ = rustix::process::nice(NICE);
            let _ = says.send(());
            drop(says);
            of_thread.check(&next);
        };
        std::thread::Builder::new().name("logins".to_owned()).spawn(run).context("start a thread")?;
        hears.recv().context("a thread has ended")?;
        Ok(Self { shared, jobs })
    }

    /// Whether this is the password of a user, of whom there are some.
    ///
    /// # Errors
    ///
    /// Too many were tried, so this one is not.
    pub(super) async fn is_right(
        &self,
        users: &[(String, String)],
        user: &str,
        password: &[u8],
        client: IpAddr,
    ) -> Result<bool, TooMany> {
        let found = users.iter().find(|(name, _)| name == user);
        // For another's hash the same work is done, with the same end.
        let Some((_, hash)) = found.or_else(|| self.shared.stand_in(users, user)) else { return Ok(false) };
        // Whether there is such a user is a part of it: one that was removed may have had the same hash.
        let key = self.shared.key(&[user.as_bytes(), hash.as_bytes(), password, &[found.is_some().into()]]);
        let mut done = {
            let mut state = self.shared.state();
            if state.right.contains(&key) {
                return Ok(true);
            }
            if state.wrong.contains(&key) {
                return Ok(false);
            }
            match state.open.get(&key) {
                Some(done) => done.clone(),
                None => {
                    let client = network(client);
                    state.count_try(client)?;
                    let (done, receiver) = watch::channel(None);
                    let (password, hash, is_user) = (password.to_vec(), hash.clone(), found.is_some());
                    let job = Job { key, client, password, hash, is_user, done };
                    if self.jobs.try_send(job).is_err() {
                        state.tries.entry(client).and_modify(Bucket::put_back);
                        return Err(TooMany);
                    }
                    state.open.insert(key, receiver.clone());
                    receiver
                }
            }
        };
        let result = done.wait_for(Option::is_some).await.map_err(|_| TooMany)?;
        Ok(result.unwrap_or_default())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user whose hash is checked for one that does not exist: always the same for a name, and not the same for all, as
    /// some hashes cost more than others.
    fn stand_in<'a>(&self, users: &'a [(String, String)], name: &str) -> Option<&'a (String, String)> {
        let first = self.key(&[name.as_bytes()])[0];
        users.get(usize::from(first).checked_rem(users.len())?)
    }

    fn key(&self, parts: &[&[u8]]) -> Key {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.salt);
        for part in parts {
            context.update(&part.len().to_le_bytes());
            context.update(part);
        }
        context.finish().as_ref().try_into().unwrap_or_default()
    }

    /// Checks one after the other, until there can be no more.
    fn check(&self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            let is_right = bcrypt::verify(&job.password, &job.hash).unwrap_or(false) && job.is_user;
            let mut state = self.state();
            state.open.remove(&job.key);
            if is_right && let Some(tries) = state.tries.get_mut(&job.client) {
                tries.put_back();
            }
            let known = if is_right { &mut state.right } else { &mut state.wrong };
            if known.len() >= MOST_KNOWN {
                known.clear();
            }
            known.insert(job.key);
            drop(state);
            job.done.send_replace(Some(is_right));
        }
    }
}

impl State {
    fn count_try(&mut self, client: IpAddr) -> Result<(), TooMany> {
        let now = Instant::now();
        if self.tries.len() >= MOST_CLIENTS && !self.tries.contains_key(&client) {
            self.tries.retain(|_, tries| !tries.is_full(now, NEXT_TRY, TRIES));
            if self.tries.len() >= MOST_CLIENTS {
                return Err(TooMany);
            }
        }
        let tries = self.tries.entry(client).or_insert_with(|| Bucket::full(TRIES));
        if tries.take(now, NEXT_TRY, TRIES) { Ok(()) } else { Err(TooMany) }
    }
}

/// Whose tries are counted together: a host has one IPv4 address, or all IPv6 addresses of a network.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_exist_costs_as_much_as_someone() {
        let logins = Logins::start().unwrap();
        let users = ["alice", "bob"].map(|name| (name.to_owned(), format!("hash of {name}")));
        let stand_in = |name: &str| logins.shared.stand_in(&users, name).unwrap().0.as_str();
        let names: Vec<String> = (0..64).map(|number| format!("user{number}")).collect();
        // By chance, that fails once in 2^63 times.
        assert!(["alice", "bob"].iter().all(|user| names.iter().any(|name| stand_in(name) == *user)));
        assert!(names.iter().all(|name| stand_in(name) == stand_in(name)));
        assert_eq!(logins.shared.stand_in(&[], "alice"), None);
    }

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    fn users() -> Vec<(String, String)> {
        ["alice", "bob"].map(|name| (name.to_owned(), bcrypt::hash(name.repeat(2), 4).unwrap())).into()
    }

    #[test]
    fn a_password_is_right_for_its_user_alone() {
        let (logins, users) = (Logins::start().unwrap(), users());
        runtime().block_on(async {
            for _ in 0..2 {
                for (user, password, is_right) in [
                    ("alice", "alicealice", true),
                    ("bob", "bobbob", true),
                    ("alice", "bobbob", false),
                    ("", "alicealice", false),
                    ("carol", "alicealice", false),
                    ("alice", "", false),
                ] {
                    let found = logins.is_right(&users, user, password.as_bytes(), CLIENT).await;
                    assert_eq!(found, Ok(is_right), "{user} {password}");
                }
            }
            // Another hash makes another password.
            let changed = vec![("alice".to_owned(), bcrypt::hash("new", 4).unwrap())];
            assert_eq!(logins.is_right(&changed, "alice", b"alicealice", CLIENT).await, Ok(false));
            assert_eq!(logins.is_right(&changed, "alice", b"new", CLIENT).await, Ok(true));
            assert_eq!(logins.is_right(&[], "alice", b"new", CLIENT).await, Ok(false));
            // A user that was removed is unknown, though the first of those that are left has the same hash.
            let others = vec![("bob".to_owned(), changed[0].1.clone())];
            assert_eq!(logins.is_right(&others, "alice", b"new", CLIENT).await, Ok(false));
        });
    }

    #[test]
    fn a_client_may_not_try_for_ever_and_others_go_on() {
        let (logins, users) = (Logins::start().unwrap(), users());
        runtime().block_on(async {
            assert_eq!(logins.is_right(&users, "bob", b"bobbob", CLIENT).await, Ok(true));
            let mut ends = Vec::new();
            for number in 0..u32::from(u8::MAX) {
                ends.push(logins.is_right(&users, "alice", &number.to_le_bytes(), CLIENT).await);
            }
            assert!(ends.starts_with(&[Ok(false); TRIES as usize]) && ends.contains(&Err(TooMany)));
            // One that is known, and a known wrong one, cost no try.
            assert_eq!(logins.is_right(&users, "bob", b"bobbob", CLIENT).await, Ok(true));
            assert_eq!(logins.is_right(&users, "alice", &0u32.to_le_bytes(), CLIENT).await, Ok(false));
            let other = "2001:db8::1".parse().unwrap();
            assert_eq!(logins.is_right(&users, "alice", b"alicealice", other).await, Ok(true));
        });
        assert!(logins.shared.state().open.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut state = State::default();
        for number in 0..2 * MOST_CLIENTS as u32 {
            let _ = state.count_try(IpAddr::V4(number.into()));
        }
        assert_eq!(state.tries.len(), MOST_CLIENTS);
        assert_eq!(network("2001:db8::1".parse().unwrap()), network("2001:db8::ffff:1".parse().unwrap()));
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }
}
