//! What was judged, as JSON.

use serde::Serialize;

use super::{Audit, Evidence, Finding, Judgement, Severity};
use crate::whose::ContainerForm;

/// What `lxkns audit` says of a container or process tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AuditAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// What was judged: a container as a TARGET, or what was asked for.
    pub target: String,
    /// The container; `null` for a process tree.
    pub container: Option<ContainerForm>,
    /// The process that stands for it; `null` where it has none, or it is not known.
    pub pid: Option<u32>,
    /// How many processes were judged; kernel threads are not.
    pub process_count: usize,
    /// How bad the worst finding is: `info`, `low`, `medium`, `high`; `null` where there is none.
    pub worst: Option<Severity>,
    /// The findings, the worst first.
    pub findings: Vec<FindingForm>,
    /// What could not be judged and why: not clean, but unknown.
    pub not_judged: Vec<String>,
    /// What is true of the host as a whole.
    pub remarks: Vec<String>,
}

/// A finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "AuditFinding"))]
#[serde(rename_all = "kebab-case")]
pub struct FindingForm {
    /// `namespace-shared`, `host-root`, `privileged`, `capabilities`, `seccomp`, `lsm`, `no-new-privs`, `engine-socket`,
    /// `host-files`, `kernel-files`, `device`, `propagation`, `foreign-credentials`, `saved-root`, `left`, `entered`,
    /// `fd-directory`, `fd-file`, `fd-process`, `fd-namespace`, `fd-device`.
    pub kind: &'static str,
    /// `info`, `low`, `medium`, `high`.
    pub severity: Severity,
    /// What it is and what it allows.
    pub text: String,
    /// What shows it.
    pub evidence: Vec<Evidence>,
    /// What to change.
    pub remedy: String,
}

impl FindingForm {
    fn of(finding: &Finding) -> Self {
        Self {
            kind: finding.kind,
            severity: finding.severity,
            text: finding.text.clone(),
            evidence: finding.evidence.clone(),
            remedy: finding.remedy.clone(),
        }
    }
}

impl Audit<'_> {
    /// What is said of one.
    pub fn answer(&self, judgement: &Judgement) -> Answer {
        let subject = &judgement.subject;
        let container = subject.container.and_then(|index| self.container(index));
        Answer {
            target: subject.asked.clone(),
            container: container.map(|it| ContainerForm::of(self.context.snapshot.annotations.containers.as_ref(), it)),
            pid: subject.main.map(|pid| pid.0),
            process_count: subject.pids.len(),
            worst: judgement.worst(),
            findings: judgement.findings.iter().map(FindingForm::of).collect(),
            not_judged: judgement.not_judged.clone(),
            remarks: self.remarks(),
        }
    }
}
