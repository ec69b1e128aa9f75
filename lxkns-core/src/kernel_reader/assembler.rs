//! Puts programs for the kernel together, instruction by instruction.

use std::os::fd::RawFd;

use lxkns_sys::BpfInstruction;

/// A register. A call keeps [`R6`] to [`R9`], takes its arguments in [`R1`] to [`R5`] and returns [`R0`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register(u8);

pub(super) const R0: Register = Register(0);
pub(super) const R1: Register = Register(1);
pub(super) const R2: Register = Register(2);
pub(super) const R3: Register = Register(3);
pub(super) const R4: Register = Register(4);
pub(super) const R6: Register = Register(6);
pub(super) const R7: Register = Register(7);
pub(super) const R8: Register = Register(8);
pub(super) const R9: Register = Register(9);
/// The end of the stack, whose 512 bytes have negative offsets.
pub(super) const FRAME: Register = Register(10);

/// A function of the kernel's that programs call, by its number in `include/uapi/linux/bpf.h`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Helper {
    /// The monotonic clock, in nanoseconds.
    KtimeGetNs = 5,
    /// The task that runs the program.
    GetCurrentTask = 35,
    /// Copies kernel memory; where that cannot be read, zeros.
    ProbeReadKernel = 113,
    /// Writes to what the reader of the iterator gets.
    SeqWrite = 127,
    /// Writes a record to a ring.
    RingbufOutput = 130,
}

/// The width of a load or store.
#[derive(Clone, Copy, Debug)]
pub(super) enum Width {
    Four,
    Eight,
}

impl Width {
    fn code(self) -> u8 {
        match self {
            Self::Four => 0,
            Self::Eight => 0x18,
        }
    }
}

/// A condition for a jump.
#[derive(Clone, Copy, Debug)]
pub(super) enum If {
    Equal = 0x10,
    NotEqual = 0x50,
    /// Without signs.
    Less = 0xa0,
    SignedLessOrEqual = 0xd0,
}

/// A place in a program to jump to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label(usize);

/// A program that grows.
#[derive(Default)]
pub(super) struct Assembler {
    instructions: Vec<BpfInstruction>,
    /// Where each label is, once it is known.
    labels: Vec<Option<usize>>,
    /// The jumps, and the labels that they lead to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    fn push(&mut self, code: u8, destination: Register, source: Register, offset: i16, immediate: i32) {
        self.instructions.push(BpfInstruction::new(code, destination.0, source.0, offset, immediate));
    }

    /// `destination = source`
    pub(super) fn copy(&mut self, destination: Register, source: Register) {
        self.push(0xbf, destination, source, 0, 0);
    }

    /// `destination = number`
    pub(super) fn set(&mut self, destination: Register, number: i32) {
        self.push(0xb7, destination, R0, 0, number);
    }

    /// `destination += number`
    pub(super) fn add(&mut self, destination: Register, number: i32) {
        if number != 0 {
            self.push(0x07, destination, R0, 0, number);
        }
    }

    /// `destination += source`
    pub(super) fn add_register(&mut self, destination: Register, source: Register) {
        self.push(0x0f, destination, source, 0, 0);
    }

    /// `destination *= number`
    pub(super) fn multiply(&mut self, destination: Register, number: i32) {
        self.push(0x27, destination, R0, 0, number);
    }

    /// `destination &= number`
    pub(super) fn and(&mut self, destination: Register, number: i32) {
        self.push(0x57, destination, R0, 0, number);
    }

    /// `destination >>= number`
    pub(super) fn shift_right(&mut self, destination: Register, number: i32) {
        self.push(0x77, destination, R0, 0, number);
    }

    /// `destination = *(source + offset)`
    pub(super) fn load(&mut self, width: Width, destination: Register, source: Register, offset: i16) {
        self.push(0x61 | width.code(), destination, source, offset, 0);
    }

    /// `*(destination + offset) = source`
    pub(super) fn store(&mut self, width: Width, destination: Register, offset: i16, source: Register) {
        self.push(0x63 | width.code(), destination, source, offset, 0);
    }

    /// `*(destination + offset) = number`
    pub(super) fn store_number(&mut self, width: Width, destination: Register, offset: i16, number: i32) {
        self.push(0x62 | width.code(), destination, R0, offset, number);
    }

    /// `destination =` the map with this descriptor.
    pub(super) fn set_to_map(&mut self, destination: Register, map: RawFd) {
        self.push(0x18, destination, Register(1), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// `destination =` the only element of the array map with this descriptor.
    pub(super) fn set_to_element(&mut self, destination: Register, map: RawFd) {
        self.push(0x18, destination, Register(2), 0, map);
        self.push(0, R0, R0, 0, 0);
    }

    /// `*destination += source`, of 8 bytes, whoever else adds to them.
    pub(super) fn add_atomically(&mut self, destination: Register, source: Register) {
        self.push(0xdb, destination, source, 0, 0);
    }

    /// Calls a function of the kernel's.
    pub(super) fn call(&mut self, helper: Helper) {
        self.push(0x85, R0, R0, 0, helper as i32);
    }

    /// A label for [`jump`](Self::jump), which [`place`](Self::place) puts somewhere.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts a label here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.instructions.len());
    }

    /// Goes on at the label.
    pub(super) fn jump(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x05, R0, R0, 0, 0);
    }

    /// Goes on at the label if the register has this relation to the number.
    pub(super) fn jump_if(&mut self, register: Register, condition: If, number: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x05 | condition as u8, register, R0, 0, number);
    }

    /// As [`jump_if`](Self::jump_if), of the lower half of the register.
    pub(super) fn jump_if_32(&mut self, register: Register, condition: If, number: i32, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x06 | condition as u8, register, R0, 0, number);
    }

    /// Goes on at the label if this has been passed so often that the kernel wants the program to end (Linux 6.9). A loop
    /// through this needs no other bound.
    pub(super) fn jump_at_limit(&mut self, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0xe5, R0, R0, 0, 0);
    }

    /// Goes on at the label if both registers are the same.
    pub(super) fn jump_if_equal(&mut self, one: Register, other: Register, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x1d, one, other, 0, 0);
    }

    /// Goes on at the label if the registers differ.
    pub(super) fn jump_if_not_equal(&mut self, one: Register, other: Register, label: Label) {
        self.jumps.push((self.instructions.len(), label));
        self.push(0x5d, one, other, 0, 0);
    }

    /// Ends the program. It returns 0: the iterator goes on with the next object.
    pub(super) fn finish(&mut self) {
        self.set(R0, 0);
        self.push(0x95, R0, R0, 0, 0);
    }

    /// The finished program; `None` if a jump is too far or leads to a label that was not placed.
    pub(super) fn instructions(mut self) -> Option<Vec<BpfInstruction>> {
        for &(at, label) in &self.jumps {
            let to = self.labels[label.0]?;
            let distance = i64::try_from(to).ok()? - i64::try_from(at).ok()? - 1;
            self.instructions[at].offset = i16::try_from(distance).ok()?;
        }
        Some(self.instructions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_lead_to_their_labels() {
        let mut program = Assembler::default();
        let (back, end) = (program.label(), program.label());
        program.place(back);
        program.jump_if(R1, If::Equal, 7, end);
        program.jump(back);
        program.place(end);
        program.finish();
        let offsets: Vec<_> = program.instructions().unwrap().iter().map(|instruction| instruction.offset).collect();
        assert_eq!(offsets, [1, -2, 0, 0]);
    }

    #[test]
    fn a_label_that_was_not_placed_is_no_program() {
        let mut program = Assembler::default();
        let nowhere = program.label();
        program.jump(nowhere);
        program.finish();
        assert_eq!(program.instructions(), None);
    }
}
