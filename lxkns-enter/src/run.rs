//! A command from its start to its end, as what a shell would run.

use std::sync::Arc;

use crate::error::Error;
use crate::plan::Plan;
use crate::streams::Streams;
use crate::terminal::Session;
use crate::wait::{Ended, Signals, wait};

impl Plan {
    /// Carries it out with the caller's standard input, output and error, and its terminal if there is one, and waits for
    /// the command's end. Signals that come meanwhile are passed on, as far as other threads leave them to this one; where
    /// the command is stopped, the caller's job is.
    ///
    /// A command that is weaker than its caller gets a session of its own, and a new terminal where standard input, output
    /// or error is one: it could type into the caller's, and read what is typed there. What it writes there is its own
    /// affair: escape sequences reach the caller's terminal. In place of all else it has pipes, which are relayed
    /// until it ends: what it has not read of a file or pipe is left to the next reader.
    /// Directories are not passed on to it.
    ///
    /// # Errors
    ///
    /// As [`Plan::execute`]; and [`ErrorKind::Failed`](crate::ErrorKind::Failed) if there can be no terminal for it.
    ///
    /// # Privileges
    ///
    /// As `Enter::prepare` has them.
    ///
    /// # Minimum kernel version
    ///
    /// 4.13, for the new terminal; else 4.11.
    pub fn run(self) -> Result<Ended, Error> {
        // They stay blocked until the terminal has been taken back.
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
