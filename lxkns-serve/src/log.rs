//! Log lines, on standard error.

use crate::settings::LogForm;

/// Has the events of this process written, with its name.
pub(crate) fn begin(form: LogForm) {
    let lines = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_target(false);
    match form {
        LogForm::Text => lines.init(),
        LogForm::Json => lines.json().flatten_event(true).init(),
    }
}
