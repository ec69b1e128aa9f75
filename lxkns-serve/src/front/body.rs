//! Bodies of responses: whole, or fetched from the reader as the client takes them.

use std::io;
use std::time::Duration;

use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::body::Bytes;

use super::bodies::Note;
use super::encoding::{Encoder, Encoding};
use super::followers::Following;
use super::link::{Answer, Unanswered};

/// How often a client that follows events hears that the service is alive, when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The body of a response.
pub(super) type Body = Either<Full<Bytes>, Channel<Bytes, io::Error>>;

/// A body that is there.
pub(super) fn whole(bytes: impl Into<Bytes>) -> Body {
    Either::Left(Full::new(bytes.into()))
}

/// The body of an answer that is one piece.
///
/// # Errors
///
/// The reader has ended.
pub(super) async fn of_one_piece(
    answer: &mut Answer,
    encoding: Encoding,
    note: Option<Note>,
) -> Result<Bytes, Unanswered> {
    let piece = answer.next().await?.unwrap_or_default();
    // Without memory for a compressor the program ends anyway.
    let bytes = encoding.whole(piece).map_err(|_| Unanswered::Busy)?;
    if let Some(mut note) = note {
        note.piece(&bytes);
        note.end();
    }
    Ok(bytes.into())
}

/// The body of an answer, in pieces, which are noted too. No piece is fetched before there is room for it.
pub(super) fn streamed(answer: Answer, encoding: Encoding, note: Option<Note>) -> Body {
    let (sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        let mut sender = sender;
        match fetch(answer, encoding, note, &mut sender).await {
            Ok(()) => {}
            // The connection ends, so nobody takes what there is for all.
            Err(error) => sender.abort(error),
        }
    });
    Either::Right(channel)
}

/// Events, each as it happens: until the client goes or falls behind, or the service lets it follow no longer.
pub(super) fn followed(
    mut answer: Answer,
    following: Following,
    until: impl Future<Output = ()> + Send + 'static,
) -> Body {
    let (mut sender, channel) = Channel::new(1);
    tokio::spawn(async move {
        let _following = following;
        let mut until = std::pin::pin!(until);
        while answer.want().is_ok() {
            let piece = loop {
                tokio::select! {
                    piece = answer.piece() => break piece,
                    () = until.as_mut() => return,
                    () = tokio::time::sleep(HEARTBEAT) => {}
                }
                if sender.send_data(Bytes::from_static(b":\n\n")).await.is_err() {
                    return;
                }
            };
            let Ok(Some(bytes)) = piece else { return };
            if sender.send_data(bytes.into()).await.is_err() {
                return;
            }
        }
    });
    Either::Right(channel)
}

async fn fetch(
    mut answer: Answer,
    encoding: Encoding,
    mut note: Option<Note>,
    sender: &mut Sender<Bytes, io::Error>,
) -> io::Result<()> {
    let mut encoder = Encoder::new(encoding)?;
    let mut send = async |bytes: Vec<u8>| {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(note) = &mut note {
            note.piece(&bytes);
        }
        sender.send_data(bytes.into()).await.map_err(io::Error::other)
    };
    while let Some(bytes) = answer.next().await.map_err(|_| io::Error::from(io::ErrorKind::ConnectionReset))? {
        send(encoder.piece(bytes)).await?;
    }
    send(encoder.end()).await?;
    if let Some(note) = note {
        note.end();
    }
    Ok(())
}
