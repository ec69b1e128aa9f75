//! A command from its start to its end, as what a shell would run.

use crate::error::Error;
use crate::plan::{Plan, Stage};
use crate::terminal::Session;
use crate::wait::{Ended, Signals, wait};

impl Plan {
    /// Carries it out with the caller's standard input, output and error, and its terminal if there is one, and waits for
    /// the command's end. Signals that come meanwhile are passed on, as far as other threads leave them to this one; where
    /// the command is stopped, the caller's job is.
    ///
    /// A command that is weaker than its caller gets a session of its own, and a new terminal where standard input, output
    /// or error is one: it could type into the caller's, and read what is typed there. What it writes there is its own
    /// affair: escape sequences reach the caller's terminal.
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
    pub fn run(mut self) -> Result<Ended, Error> {
        // They stay blocked until the terminal has been taken back.
        let signals = Signals::block().map_err(|errno| Error::call("block signals", errno))?;
        let mut session = match &self.stranger {
            Some(stranger) => Session::fresh(stranger)?,
            None => Session::shared(),
        };
        self.leave_out(Stage::Terminal);
        for step in session.steps() {
            self.add(step);
        }
        session.starts();
        let command = self.execute(session.streams())?;
        wait(&command, session, &signals)
    }
}
