//! What network namespaces have: `ports`, `links`.

use lxkns_answers::links::Links;
use lxkns_answers::ports::Ports;
use lxkns_live::questions::{links, ports};

use super::{Asking, Refused, context, told};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn ports(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "port", "unix"])?;
        let targets = self.question.targets()?;
        let numbers: Vec<u16> = self.question.numbers("port", "a port number")?;
        let (host, mut refused) = (self.host.living(), Refused::default());
        let scope = ports::scope(self.snapshot, &self.resolver(), &targets, &mut |it| refused.note(it));
        refused.check()?;
        let has_unix = self.question.flag("unix")?;
        let (surveyed, users, more) = ports::read(&host, self.snapshot, scope.as_ref(), has_unix);
        let snapshot = more.onto(self.snapshot);
        let ports = Ports::new(context(&snapshot), &surveyed, users, scope.as_ref(), &numbers);
        told(ports::answer(&ports, ports::gaps(&snapshot, &ports)))
    }

    pub(super) fn links(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let (targets, mut refused) = (self.question.targets()?, Refused::default());
        let namespaces = links::namespaces(self.snapshot, &self.resolver(), &targets, &mut |it| refused.note(it));
        refused.check()?;
        let all = self.host.living().links(self.snapshot);
        let links = Links { context: self.context(), all: &all };
        let shown = links.select((!targets.is_empty()).then_some(&namespaces[..]));
        told(links::answer(&links, &shown, links::gaps(&links)))
    }
}
