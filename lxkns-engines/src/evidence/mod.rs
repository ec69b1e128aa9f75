//! The evidence for containers: a file for each source.
//!
//! A [`Claim`] is what one source says of one container, before anybody has asked whether it is true. [`crate::join`] makes
//! containers of claims.

pub(crate) mod annotations;
pub(crate) mod bundles;
pub(crate) mod cgroups;
pub(crate) mod cni;
pub(crate) mod docker;
pub(crate) mod machined;
pub(crate) mod monitors;
pub(crate) mod mounts;
pub(crate) mod podman;
pub(crate) mod runtime;

use std::collections::BTreeMap;
use std::time::SystemTime;

use bstr::BString;
use lxkns_model::{
    Confidence, ContainerHealth, ContainerRole, ContainerState, EngineKind, Evidence, EvidenceKind, Pid, Pod, Uid,
};

/// What one source says of one container.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) kind: EngineKind,
    pub(crate) id: BString,
    pub(crate) engine_namespace: BString,
    /// The index of the root directory that it was read below; what is read elsewhere counts as the host's.
    pub(crate) source: usize,
    /// The ordinary user who can write it; `None` of root.
    pub(crate) whose: Option<Uid>,
    pub(crate) evidence: Evidence,
    /// Its first process.
    pub(crate) main: Main,
    /// Its control groups, as the source has their paths.
    pub(crate) cgroups: Vec<BString>,
    pub(crate) facts: Facts,
    /// Whether it is about a pod, and the ID is the pod's.
    pub(crate) is_of_pod: bool,
}

/// The first process of a container, as a source has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Main {
    /// Not said.
    #[default]
    Unknown,
    /// By its PID in the PID namespace of the source, with its start time in clock ticks where that is said.
    Pid(u32, Option<u64>),
    /// This process.
    Known(Pid),
}

/// What a source says beside that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) name: Option<BString>,
    pub(crate) runtime: Option<BString>,
    pub(crate) image: Option<BString>,
    pub(crate) is_paused: Option<bool>,
    /// As the engine has it.
    pub(crate) state: Option<ContainerState>,
    pub(crate) health: Option<ContainerHealth>,
    pub(crate) created: Option<SystemTime>,
    pub(crate) labels: BTreeMap<BString, BString>,
    pub(crate) annotations: BTreeMap<BString, BString>,
    pub(crate) pod: Option<Pod>,
    pub(crate) role: Option<ContainerRole>,
    pub(crate) network_path: Option<BString>,
    pub(crate) hostname: Option<BString>,
}

impl Claim {
    pub(crate) fn new(kind: EngineKind, id: impl Into<BString>, evidence: Evidence) -> Self {
        Self {
            kind,
            id: id.into(),
            engine_namespace: BString::default(),
            source: 0,
            whose: None,
            evidence,
            main: Main::Unknown,
            cgroups: Vec::new(),
            facts: Facts::default(),
            is_of_pod: false,
        }
    }

    /// With the user who can write it: then it is claimed, whatever it is.
    pub(crate) fn by(mut self, whose: Option<Uid>) -> Self {
        self.whose = whose;
        if whose.is_some() {
            self.evidence.confidence = Confidence::Claimed;
        }
        self
    }
}

/// How long a name of a container can be, or of what belongs to it.
const LONGEST_NAME: usize = 1024;

/// How long all labels and annotations of a container can be together, by what root has written, and by what others have.
const LONGEST_LABELS: [usize; 2] = [256 << 10, 64 << 10];

impl Claim {
    /// Whether it says no more than is kept; else the rest is left out, and `…` ends what was cut.
    pub(crate) fn cut(&mut self) -> bool {
        let Facts { name, runtime, image, hostname, pod, labels, annotations, .. } = &mut self.facts;
        let pod = pod.iter_mut().flat_map(|pod| [&mut pod.namespace, &mut pod.name, &mut pod.uid]);
        let names = [name, runtime, image, hostname];
        let mut is_cut = false;
        for name in names.into_iter().flatten().chain(pod) {
            if name.len() > LONGEST_NAME {
                let end = (0..=LONGEST_NAME).rev().find(|&end| name[end] & 0xc0 != 0x80).unwrap_or(0);
                name.truncate(end);
                name.extend_from_slice("…".as_bytes());
                is_cut = true;
            }
        }
        let mut left = LONGEST_LABELS[usize::from(self.whose.is_some())];
        for labels in [labels, annotations] {
            labels.retain(|key, value| {
                let rest = left.checked_sub(key.len() + value.len());
                left = rest.unwrap_or(left);
                is_cut |= rest.is_none();
                rest.is_some()
            });
        }
        is_cut
    }

    /// Whether its ID is longer than any that an engine gives.
    pub(crate) fn is_too_long(&self) -> bool {
        self.id.len() > LONGEST_NAME || self.engine_namespace.len() > LONGEST_NAME
    }
}

/// Evidence that only root can make, and that names no process for certain.
pub(crate) fn likely(kind: EvidenceKind, at: impl Into<BString>, pid: Option<Pid>) -> Evidence {
    Evidence { kind, at: at.into(), pid, confidence: Confidence::Likely }
}
