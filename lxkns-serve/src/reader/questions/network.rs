//! What network namespaces have: `ports`, `links`.

use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::ports::{Ports, Scope, inodes};
use lxkns_core::model::inside::Parts;
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Place};

use super::{Asking, More, context, gap_lines, name};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn ports(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "port", "unix"])?;
        let targets = self.question.targets()?;
        let numbers: Vec<u16> = self.question.numbers("port", "a port number")?;
        let mut scope = None;
        if !targets.is_empty() {
            let (resolver, mut meant) = (self.resolver(), Scope::default());
            for asked in &targets {
                meant.add(self.snapshot, &resolver, asked)?;
            }
            scope = Some(meant);
        }
        let parts = Parts { sockets: true, unix_sockets: self.question.flag("unix")?, ..Parts::default() };
        let namespaces = Scope::to_survey(scope.as_ref(), self.snapshot);
        let (session, timeout) = (&self.host.session, self.host.settings.timeout);
        let surveyed = lxkns_inside::survey(session, self.snapshot, &namespaces, parts, &self.host.inside, timeout);
        let inodes = inodes(&surveyed);
        // Who made a socket can have come since the scan.
        let (users, gaps) = if inodes.is_empty() { Default::default() } else { session.all_socket_users(&inodes) };
        let snapshot = More { gaps, ..More::default() }.onto(self.snapshot);
        let ports = Ports::new(context(&snapshot), &surveyed, users, scope.as_ref(), &numbers);
        let places = DiscoveryOptions::namespaces().places.with(Place::Fds).with(Place::TaskFds);
        let mut gaps = ports.gaps();
        gaps.extend(gap_lines(&snapshot, places));
        self.envelope(ports.answers(), gaps)
    }

    pub(super) fn links(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let targets = self.question.targets()?;
        let (resolver, mut namespaces) = (self.resolver(), Vec::new());
        for asked in &targets {
            let is_net = |id: &NamespaceId| self.snapshot.namespaces[id].ns_type == NamespaceType::Net;
            let before = namespaces.len();
            namespaces.extend(resolver.resolve(asked)?.into_iter().filter(is_net));
            if namespaces.len() == before {
                return Err(Problem::parameter(format!("{}: no network namespace", name(asked))));
            }
        }
        let all = self.host.links(self.snapshot);
        let links = Links { context: self.context(), all: &all };
        let shown = links.select((!targets.is_empty()).then_some(&namespaces[..]));
        let leftovers = links.leftovers(&Lacks::of(self.snapshot));
        let mut gaps = gap_lines(self.snapshot, DiscoveryOptions::namespaces().places);
        gaps.extend(links.gaps());
        self.envelope(vec![links.answer(&shown, &leftovers)], gaps)
    }
}
