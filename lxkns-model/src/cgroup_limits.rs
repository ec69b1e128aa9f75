//! What control groups let their tasks use.

/// What control groups let the tasks of a container use: of each limit the least of its own control group's and of those
/// above it. `None` is unlimited where `unlimited` has it, and else not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case", default))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CgroupLimits {
    /// Memory in bytes, above which tasks are killed: `memory.max`, v1's `memory.limit_in_bytes`. Absent where
    /// unlimited or not known.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_bytes: Option<u64>,
    /// Memory in bytes, above which tasks are slowed down: `memory.high`. Absent where unlimited or not known, as of v1.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub memory_high_bytes: Option<u64>,
    /// Swap space in bytes: `memory.swap.max`. Absent where unlimited or not known, as of v1, which has no limit of
    /// its own for it.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub swap_bytes: Option<u64>,
    /// Time on all CPUs together, in microseconds per second: 500,000 is half a CPU; `cpu.max`, v1's `cpu.cfs_quota_us`.
    /// Absent where unlimited or not known.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub cpu_usec_per_second: Option<u64>,
    /// The share of its control group beside its siblings where CPUs are short, 100 by default: `cpu.weight`. Absent where
    /// not known, as of v1, or where siblings are not told apart.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub cpu_weight: Option<u64>,
    /// The CPUs that tasks can run on, as in `0-3,6`: `cpuset.cpus.effective`, v1's `cpuset.effective_cpus`. Absent where not
    /// known.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub cpus: Option<String>,
    /// How many tasks there can be: `pids.max`. Absent where unlimited or not known.
    #[cfg_attr(feature = "wire", serde(skip_serializing_if = "Option::is_none"))]
    pub tasks_max: Option<u64>,
    /// What is absent above because nothing limits it.
    pub unlimited: Vec<CgroupLimit>,
}

/// A limit on an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum CgroupLimit {
    /// [`CgroupLimits::memory_bytes`].
    MemoryBytes,
    /// [`CgroupLimits::memory_high_bytes`].
    MemoryHighBytes,
    /// [`CgroupLimits::swap_bytes`].
    SwapBytes,
    /// [`CgroupLimits::cpu_usec_per_second`].
    CpuUsecPerSecond,
    /// [`CgroupLimits::tasks_max`].
    TasksMax,
}

impl CgroupLimits {
    /// Whether this is known to be limited by nothing.
    pub fn is_unlimited(&self, limit: CgroupLimit) -> bool {
        self.unlimited.contains(&limit)
    }
}
