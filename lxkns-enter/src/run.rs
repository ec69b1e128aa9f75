//! Runs a command from start to end, as a shell would.

use std::sync::Arc;

use crate::error::Error;
use crate::plan::Plan;
use crate::streams::Streams;
use crate::terminal::Session;
use crate::wait::{Ended, Signals, wait};

impl Plan {
    /// Executes the plan with the caller's standard input, output, error and terminal, and waits for the command to
    /// end. Passes signals on, if no other thread takes them. If the command is stopped, stops the caller's job.
    ///
    /// A command that is weaker than its caller gets a new session, and a new terminal in place of the caller's, into
    /// which it could type and from which it could read. Its output reaches the caller's terminal unchanged, including
    /// escape sequences. Pipes take the place of other files; input that the command has not read stays for the next
    /// reader. It gets no directories.
    ///
    /// # Errors
    ///
    /// As for [`Plan::execute`]; also [`ErrorKind::Failed`](crate::ErrorKind::Failed) if no terminal can be made for
    /// it.
    ///
    /// # Privileges
    ///
    /// Those of `Enter::prepare`.
    ///
    /// # Minimum kernel version
    ///
    /// 4.13, for the new terminal; else 4.11.
    pub fn run(self) -> Result<Ended, Error> {
        // Signals stay blocked until the caller has its terminal back.
        let signals = Signals::block().map_err(|errno| Error::call("block signals", errno))?;
        let mut session = match &self.stranger {
            Some(stranger) => Session::fresh(stranger)?,
            None => Session::shared(),
        };
        let fds = self.descriptors.all(session.streams());
        let (streams, mut given) = match (&self.stranger, session.replaced()) {
            (Some(_), replaced) => {
                let relayed: Vec<_> = fds.iter().filter(|(number, _)| !replaced.contains(number)).copied().collect();
                Streams::new(&relayed)?
            }
            (None, _) => (Streams::default(), Vec::new()),
        };
        for (number, fd) in fds {
            if given.iter().all(|(_, other)| *other != number) {
                let copy = rustix::io::fcntl_dupfd_cloexec(fd, 3);
                given.push((Arc::new(copy.map_err(|errno| Error::call("copy a descriptor", errno))?), number));
            }
        }
        session.starts();
        match self.start(given, session.launch(), Some(signals.interrupts())) {
            Ok(command) => wait(&self, &command, session, streams, &signals),
            Err(error) => signals.interrupted().ok_or(error),
        }
    }
}
