// Names of capabilities, and of policies of the scheduler, by the kernel's numbers.

const NAMES = [
  "chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid", "setpcap",
  "linux_immutable", "net_bind_service", "net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner",
  "sys_module", "sys_rawio", "sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
  "sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write", "audit_control", "setfcap",
  "mac_override", "mac_admin", "syslog", "wake_alarm", "block_suspend", "audit_read", "perfmon", "bpf",
  "checkpoint_restore",
];

/** The names in a set of 16 hexadecimal digits; a capability without a known name is its number. */
export function capabilityNames(set: string): string[] {
  const bits = BigInt(`0x${set}`);
  const names: string[] = [];
  for (let n = 0; n < 64; n++) if (bits & (1n << BigInt(n))) names.push(NAMES[n] ?? String(n));
  return names;
}

export const CAPABILITIES: readonly string[] = NAMES;

const POLICIES: Record<number, string> = { 0: "normal", 1: "FIFO", 2: "round robin", 3: "batch", 5: "idle", 6: "deadline", 7: "extensible" };

export const policyName = (policy: number): string => POLICIES[policy] ?? `policy ${policy}`;
