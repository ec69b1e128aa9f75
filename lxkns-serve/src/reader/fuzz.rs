//! What the reader makes of a question before it asks the host anything: all that the front has a say in.

use std::ffi::{OsStr, OsString};
use std::sync::{Arc, LazyLock};

use lxkns_answers::explain::Action;
use lxkns_answers::owner;
use lxkns_answers::resolve::{NoHost, Resolver};
use lxkns_answers::target::Asked;
use lxkns_answers::{file_system, testing, who_can};
use lxkns_core::Snapshot;

use super::feed::{Feed, News, Piece};
use super::pages::Page;
use super::problem::Problem;
use super::questions::{about, context};
use super::wake::Wake;
use crate::protocol::{Bounded as _, Question};

/// A number of a start of the reader.
const EPOCH: u32 = 0xab;

static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(testing::contained);

static FEED: LazyLock<Arc<Feed>> = LazyLock::new(|| {
    let feed = Arc::new(Feed::new(EPOCH, 100, Arc::new(Wake::new().expect("an eventfd"))));
    feed.tell((0..9).map(|_| News { kind: "appeared", ns_type: None, data: b"{\"a\":1}".to_vec() }));
    feed
});

/// Each parameter is read as every question reads it. Each that is refused has its reason, in one line that is safe to print.
pub(crate) fn question(question: &Question) {
    let mut refused = vec![question.takes(&["target"]).err()];
    refused.push(question.types().err());
    refused.push(question.flag("all").err());
    refused.push(question.numbers::<u16>("port", "a port number").err());
    refused.push(question.target().err());
    match question.targets() {
        Ok(targets) => targets.iter().for_each(|asked| refused.extend(means(asked).map(Some))),
        Err(problem) => refused.push(Some(problem)),
    }
    match Page::of(question, EPOCH) {
        Ok(Some((_, whole))) => assert!(whole.is_in_bounds() && Page::of(&whole, EPOCH) == Ok(None)),
        Ok(None) => {}
        Err(problem) => refused.push(Some(problem)),
    }
    match FEED.follow(question) {
        Ok(mut follower) => assert_ne!(follower.take(), Piece::Outrun, "it follows what is there"),
        Err(problem) => refused.push(Some(problem)),
    }
    let words: Vec<_> = question.values("action").map(OsString::from).collect();
    match Action::parse(&words) {
        Ok(action) => action.targets.iter().for_each(|asked| refused.extend(means(asked).map(Some))),
        Err(why) => refused.push(Some(Problem::parameter(why))),
    }
    for (_, value) in &question.parameters {
        let text = OsStr::new(value);
        match file_system::Asked::parse(text) {
            Ok(asked) => {
                let unknown = file_system::resolve(context(&SNAPSHOT), None, &asked).err();
                refused.push(unknown.map(|unknown| Problem::missing(about(value, unknown))));
            }
            Err(why) => refused.push(Some(Problem::parameter(why))),
        }
        match owner::Asked::parse(text, Asked::parse) {
            Ok(asked) => assert!(asked.of.is_some() || asked.path == *value),
            Err(why) => refused.push(Some(Problem::parameter(why))),
        }
        refused.push(who_can::capability(value).err().map(Problem::parameter));
    }
    refused.iter().flatten().for_each(Problem::check);
}

/// What a TARGET means, in a snapshot that has it if it means anything.
fn means(asked: &Asked) -> Option<Problem> {
    let resolver = Resolver::new(context(&SNAPSHOT), &NoHost);
    match resolver.settle(asked).and_then(|settled| resolver.resolve(&settled)) {
        Ok(ids) => {
            assert!(!ids.is_empty() && ids.iter().all(|id| SNAPSHOT.namespaces.contains_key(id)));
            None
        }
        Err(unresolved) => Some(unresolved.into()),
    }
}
