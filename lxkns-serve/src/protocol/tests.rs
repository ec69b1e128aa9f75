//! Frames in both directions.

use proptest::prelude::*;

use super::*;

fn through<T>(message_: &T, longest: usize) -> Result<T, Refused>
where
    T: Serialize + DeserializeOwned + Bounded,
{
    let frame = frame(message_, longest)?;
    let (header, rest) = frame.split_first_chunk::<HEADER>().unwrap();
    assert_eq!(length(*header, longest), Ok(rest.len()));
    message(rest)
}

fn ask(parameters: Vec<(String, String)>) -> Request {
    Request::Ask { id: 7, question: Question { kind: Kind::Why, parameters }, max_age_ms: Some(0) }
}

fn pair(name: usize, value: usize) -> (String, String) {
    ("n".repeat(name), "v".repeat(value))
}

#[test]
fn what_is_within_bounds_arrives() {
    for request in [ask(vec![]), ask(vec![pair(32, 4096); 15]), Request::More { id: u32::MAX }, Request::Done { id: 0 }]
    {
        assert_eq!(through(&request, LONGEST_REQUEST), Ok(request));
    }
    let chunk = Reply::Chunk { id: 1, bytes: vec![0xff; CHUNK], is_last: false };
    assert_eq!(through(&chunk, LONGEST_REPLY), Ok(chunk));
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    for parameters in [vec![pair(33, 1)], vec![pair(1, 4097)], vec![pair(1, 1); 33], vec![pair(32, 4096); 16]] {
        assert_eq!(through(&ask(parameters), LONGEST_REQUEST), Err(Refused::Message));
    }
    assert_eq!(through(&ask(vec![pair(1, 4096); 32]), LONGEST_REQUEST), Err(Refused::Length));
    let chunk = |bytes, is_last| Reply::Chunk { id: 1, bytes, is_last };
    assert_eq!(through(&chunk(vec![1; CHUNK + 1], false), LONGEST_REPLY), Err(Refused::Message));
    assert_eq!(through(&chunk(Vec::new(), false), LONGEST_REPLY), Err(Refused::Message));
    assert!(through(&chunk(Vec::new(), true), LONGEST_REPLY).is_ok());
    let head = |status| Head::of(status, Content::Json, 1, 1);
    assert_eq!(through(&Reply::Head { id: 1, head: head(99) }, LONGEST_REPLY), Err(Refused::Message));
    assert!(through(&Reply::Head { id: 1, head: head(404) }, LONGEST_REPLY).is_ok());
}

#[test]
fn headers_of_others_are_refused() {
    assert_eq!(length([0, 0, 0, 0, VERSION + 1], LONGEST_REQUEST), Err(Refused::Version));
    assert_eq!(length([0xff; HEADER], LONGEST_REQUEST), Err(Refused::Version));
    assert_eq!(length([0xff, 0xff, 0xff, 0xff, VERSION], LONGEST_REQUEST), Err(Refused::Length));
    assert_eq!(length([0, 0, 0, 0, VERSION], LONGEST_REQUEST), Ok(0));
    assert_eq!(message::<Request>(&[]), Err(Refused::Message));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_understood_in_one_way(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        if let Ok(request) = message::<Request>(&bytes) {
            prop_assert_eq!(through(&request, LONGEST_REQUEST), Ok(request));
        }
        if let Ok(reply) = message::<Reply>(&bytes) {
            prop_assert_eq!(through(&reply, LONGEST_REPLY), Ok(reply));
        }
    }

    #[test]
    fn a_frame_that_is_cut_or_longer_is_refused(
        name in "[a-z]{0,32}", value in ".{0,64}", cut in 0_usize..16, id in any::<u32>(),
    ) {
        let request = Request::Ask { id, question: Question { kind: Kind::Busy, parameters: vec![(name, value)] }, max_age_ms: None };
        let frame = frame(&request, LONGEST_REQUEST).unwrap();
        let rest = &frame[HEADER..];
        prop_assert_eq!(message::<Request>(rest), Ok(request));
        let cut = rest.len() - 1 - cut.min(rest.len() - 1);
        prop_assert_eq!(message::<Request>(&rest[..cut]), Err(Refused::Message));
        prop_assert_eq!(message::<Request>(&[rest, &[0]].concat()), Err(Refused::Message));
    }
}
