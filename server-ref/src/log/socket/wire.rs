//! How a question and its answer are written: a length, then fields one after the other, numbers in eight bytes.

use crate::log::{Append, Appended, Batch, Entry, Epoch, Head, Holds, LogError, Name, Place, Record, Retention};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use readywire_protocol::config::Window;
use std::sync::Arc;
use std::time::Duration;

/// The longest frame that is read.
const MAX_FRAME: usize = 256 << 20;

/// What one process asks of the log in another.
#[derive(Debug)]
pub(super) enum Request {
    Append { appends: Vec<Append> },
    Read { log: Name, after: u64, room: Window },
    Find { log: Name, key: Name },
    Trim { log: Name, through: u64 },
    Subscribe { log: Name },
    Keep { logs: Vec<Name>, milliseconds: u64 },
    List { prefix: Name },
    Remove { logs: Vec<Name> },
}

/// The answer.
#[derive(Debug)]
pub(super) enum Reply {
    Appended(Vec<Appended>),
    Batch(Batch),
    Found(Option<Entry>),
    Head(Head),
    Names(Vec<Name>),
    Done,
    Failed(LogError),
}

/// What the process with the log says.
#[derive(Debug)]
pub(super) enum Told {
    Reply {
        id: u64,
        reply: Reply,
    },
    /// News for who subscribed by this question; `None` when the log is gone.
    Head {
        id: u64,
        head: Option<Head>,
    },
}

/// What came is not of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbled;

/// Writes a frame.
pub(super) fn write_frame(frame: &impl Wire, bytes: &mut BytesMut) {
    let start = bytes.len();
    bytes.put_u64_le(0);
    frame.put(bytes);
    let length = (bytes.len() - start - 8) as u64;
    bytes[start..start + 8].copy_from_slice(&length.to_le_bytes());
}

/// Reads a frame; `None` if it is not all there.
pub(super) fn read_frame<T: Wire>(bytes: &mut BytesMut) -> Result<Option<T>, Garbled> {
    let Some(length) = bytes.first_chunk::<8>() else { return Ok(None) };
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or(Garbled)?;
    if bytes.len() < 8 + length {
        bytes.reserve(8 + length - bytes.len());
        return Ok(None);
    }
    bytes.advance(8);
    let mut frame = bytes.split_to(length).freeze();
    match T::take(&mut frame) {
        Some(read) if frame.is_empty() => Ok(Some(read)),
        _ => Err(Garbled),
    }
}

/// What can be written and read.
pub(super) trait Wire: Sized {
    fn put(&self, bytes: &mut BytesMut);
    fn take(bytes: &mut Bytes) -> Option<Self>;
}

impl Wire for u64 {
    fn put(&self, bytes: &mut BytesMut) {
        bytes.put_u64_le(*self);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        bytes.try_get_u64_le().ok()
    }
}

impl Wire for bool {
    fn put(&self, bytes: &mut BytesMut) {
        bytes.put_u8(u8::from(*self));
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        match bytes.try_get_u8().ok()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl Wire for Bytes {
    fn put(&self, bytes: &mut BytesMut) {
        (self.len() as u64).put(bytes);
        bytes.put_slice(self);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        let length = usize::try_from(u64::take(bytes)?).ok()?;
        // A copy of its own: a short record does not hold on to all that came with it.
        (length <= bytes.len()).then(|| Bytes::copy_from_slice(&bytes.split_to(length)))
    }
}

impl Wire for Arc<str> {
    fn put(&self, bytes: &mut BytesMut) {
        (self.len() as u64).put(bytes);
        bytes.put_slice(self.as_bytes());
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        let length = usize::try_from(u64::take(bytes)?).ok()?;
        let text = (length <= bytes.len()).then(|| bytes.split_to(length))?;
        std::str::from_utf8(&text).ok().map(Arc::from)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, bytes: &mut BytesMut) {
        self.is_some().put(bytes);
        if let Some(value) = self {
            value.put(bytes);
        }
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        match bool::take(bytes)? {
            true => T::take(bytes).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, bytes: &mut BytesMut) {
        (self.len() as u64).put(bytes);
        self.iter().for_each(|value| value.put(bytes));
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        let count = u64::take(bytes)?;
        // Each takes at least a byte: what claims to be more is garbled.
        if count > bytes.len() as u64 {
            return None;
        }
        (0..count).map(|_| T::take(bytes)).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, bytes: &mut BytesMut) {
        self.0.put(bytes);
        self.1.put(bytes);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        Some((A::take(bytes)?, B::take(bytes)?))
    }
}

impl Wire for Epoch {
    fn put(&self, bytes: &mut BytesMut) {
        self.0.put(bytes);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        u64::take(bytes).map(Self)
    }
}

/// Nanoseconds, as many as a number holds.
impl Wire for Duration {
    fn put(&self, bytes: &mut BytesMut) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).put(bytes);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        u64::take(bytes).map(Self::from_nanos)
    }
}

/// A structure is its fields in this order.
macro_rules! structure {
    ($name:ident { $($field:ident),+ }) => {
        impl Wire for $name {
            fn put(&self, bytes: &mut BytesMut) {
                $(self.$field.put(bytes);)+
            }
            fn take(bytes: &mut Bytes) -> Option<Self> {
                $(let $field = Wire::take(bytes)?;)+
                Some(Self { $($field),+ })
            }
        }
    };
}

/// One of several is its number, then its fields.
macro_rules! choice {
    ($name:ident { $($number:literal => $variant:ident $(($value:ident))? $({ $($field:ident),+ })?),+ }) => {
        impl Wire for $name {
            fn put(&self, bytes: &mut BytesMut) {
                match self {
                    $(Self::$variant $(($value))? $({ $($field),+ })? => {
                        bytes.put_u8($number);
                        $($value.put(bytes);)?
                        $($($field.put(bytes);)+)?
                    })+
                }
            }
            fn take(bytes: &mut Bytes) -> Option<Self> {
                match bytes.try_get_u8().ok()? {
                    $($number => {
                        $(let $value = Wire::take(bytes)?;)?
                        $($(let $field = Wire::take(bytes)?;)+)?
                        Some(Self::$variant $(($value))? $({ $($field),+ })?)
                    })+
                    _ => None,
                }
            }
        }
    };
}

structure!(Window { messages, bytes });
structure!(Record { key, data });
structure!(Entry { offset, record });
structure!(Retention { window, age });
structure!(Append { log, records, fence, expected_head, creates, holds });
structure!(Appended { epoch, head, places });
structure!(Batch { epoch, first, head, entries });
structure!(Head { epoch, offset, first, bytes, fence });

choice!(Holds { 0 => Everything, 1 => Latest(retention), 2 => AtMost(window) });
choice!(Place { 0 => New(offset), 1 => Known(entry) });
choice!(LogError { 0 => Fenced, 1 => Moved, 2 => Missing, 3 => Full, 4 => Unavailable(why) });
choice!(Request {
    0 => Append { appends },
    1 => Read { log, after, room },
    2 => Find { log, key },
    3 => Trim { log, through },
    4 => Subscribe { log },
    5 => Keep { logs, milliseconds },
    6 => List { prefix },
    7 => Remove { logs }
});
choice!(Reply {
    0 => Appended(appended),
    1 => Batch(batch),
    2 => Found(found),
    3 => Head(head),
    4 => Names(names),
    5 => Done,
    6 => Failed(error)
});
choice!(Told { 0 => Reply { id, reply }, 1 => Head { id, head } });

impl Wire for String {
    fn put(&self, bytes: &mut BytesMut) {
        Arc::<str>::from(self.as_str()).put(bytes);
    }
    fn take(bytes: &mut Bytes) -> Option<Self> {
        Arc::<str>::take(bytes).map(|text| text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        let record = Record::keyed("k", Bytes::from_static(&[0, 255]));
        let holds = Holds::Latest(Retention::default());
        Request::Append { appends: vec![Append::to("ä/b", vec![record]).fenced(7).at_head(3).holding(holds)] }
    }

    #[test]
    fn a_frame_is_read_as_it_was_written_however_it_comes() {
        let mut written = BytesMut::new();
        write_frame(&(5_u64, request()), &mut written);
        write_frame(&(6_u64, Request::List { prefix: "p".into() }), &mut written);
        let mut come = BytesMut::new();
        let mut read = Vec::new();
        for byte in written {
            come.put_u8(byte);
            while let Some(frame) = read_frame::<(u64, Request)>(&mut come).unwrap() {
                read.push(format!("{frame:?}"));
            }
        }
        assert_eq!(read, [format!("{:?}", (5, request())), "(6, List { prefix: \"p\" })".to_owned()]);
    }

    #[test]
    fn what_is_garbled_is_refused_and_never_a_panic() {
        let mut written = BytesMut::new();
        write_frame(&(5_u64, request()), &mut written);
        for at in 8..written.len() {
            for value in [0, 1, 7, 0x7f, 0xff] {
                let mut changed = written.clone();
                changed[at] = value;
                let _ = read_frame::<(u64, Request)>(&mut changed);
            }
        }
        for (length, frame) in
            [(1_u64 << 40, &b""[..]), (1, &[9][..]), (9, &[4, 255, 255, 255, 255, 255, 255, 255, 255])]
        {
            let mut bytes = BytesMut::new();
            bytes.put_u64_le(length);
            bytes.put_slice(frame);
            assert!(matches!(read_frame::<Request>(&mut bytes), Err(Garbled)), "{length} {frame:?}");
        }
    }
}
