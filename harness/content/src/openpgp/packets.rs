//! Bytes → packets: armor is taken off, packets are cut by their lengths, within limits.
//!
//! Every packet is cut here before rPGP sees it, so that one that cannot be read spoils no other.
//! Go on to [`super::certificate`] for what they mean together.

use std::io::Read;

use pgp::armor::{BlockType, Dearmor, DearmorOptions};
use pgp::packet::{Packet, PacketHeader, Signature};
use pgp::types::{PacketLength, Tag};

use super::{Form, MAX_KEYRING_BYTES, MAX_PACKETS};

/// A file's packets, in order.
pub(super) struct Split {
    /// How they were written.
    pub(super) form: Form,
    /// The packets, or what could not be read.
    pub(super) packets: Vec<Piece>,
}

/// A piece of a file.
pub(super) enum Piece {
    /// A packet that matters for keys.
    Packet(Box<Packet>),
    /// A key packet that cannot be read.
    UnreadableKey(String),
    /// Something else that cannot be read and ends its block.
    Garbage(String),
}

/// Most words for what cannot be read that come of one file.
pub(super) const MAX_COMPLAINTS: usize = 20;

const BEGIN: &[u8] = b"-----BEGIN PGP ";
const END: &[u8] = b"-----END PGP ";

/// What an armored block is to hold.
#[derive(Clone, Copy)]
enum Wanted {
    Keys,
    Signatures,
}

/// Cuts a file of keys into its packets.
pub(super) fn split(bytes: &[u8]) -> Split {
    blocks(bytes, Wanted::Keys)
}

/// The signatures of a file, in order, armored or not. What else is in it is passed over.
pub(super) fn signatures(bytes: &[u8]) -> Vec<Signature> {
    let split = blocks(bytes, Wanted::Signatures);
    let found = split.packets.into_iter().filter_map(|piece| match piece {
        Piece::Packet(packet) => Signature::try_from(*packet).ok(),
        Piece::UnreadableKey(_) | Piece::Garbage(_) => None,
    });
    found.collect()
}

fn blocks(bytes: &[u8], wanted: Wanted) -> Split {
    let mut packets = Vec::new();
    let Some(first) = find_line(bytes, BEGIN) else {
        cut(bytes, &mut packets);
        return Split {
            form: Form::Binary,
            packets,
        };
    };
    let mut rest = &bytes[first..];
    while packets.len() < MAX_PACKETS {
        // From one beginning to the line after its end, or to everything there is.
        let end = find_line(rest, END).map_or(rest.len(), |end| {
            let line = rest[end..].iter().position(|byte| *byte == b'\n');
            line.map_or(rest.len(), |line| end + line + 1)
        });
        dearmor(&rest[..end], wanted, &mut packets);
        rest = &rest[end..];
        match find_line(rest, BEGIN) {
            Some(next) => rest = &rest[next..],
            None => break,
        }
    }
    Split {
        form: Form::Armored,
        packets,
    }
}

/// The place of a line that begins with these bytes.
fn find_line(bytes: &[u8], start: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        if bytes[at..].starts_with(start) {
            return Some(at);
        }
        at += bytes[at..].iter().position(|byte| *byte == b'\n')? + 1;
    }
}

impl Wanted {
    fn is(self, typ: &BlockType) -> bool {
        match self {
            Self::Keys => matches!(typ, BlockType::PublicKey | BlockType::PrivateKey),
            Self::Signatures => matches!(typ, BlockType::Signature),
        }
    }
}

/// One armored block (RFC 9580, 6.2). Its checksum is not asked for (6.1).
fn dearmor(block: &[u8], wanted: Wanted, packets: &mut Vec<Piece>) {
    let options = DearmorOptions::new().set_limit(MAX_KEYRING_BYTES);
    let mut armor = Dearmor::with_options(block, options);
    let mut bytes = Vec::new();
    let read = armor.read_to_end(&mut bytes);
    match (&armor.typ, read) {
        (Some(typ), Ok(_)) if wanted.is(typ) => cut(&bytes, packets),
        // A signature or message beside keys says nothing about them.
        (Some(_), Ok(_)) => {}
        (_, Err(_)) => packets.push(Piece::Garbage("armor that is damaged".to_owned())),
        (None, Ok(_)) => packets.push(Piece::Garbage("armor without content".to_owned())),
    }
}

/// Cuts bytes into packets (RFC 9580, 4.2).
fn cut(bytes: &[u8], packets: &mut Vec<Piece>) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let garbage = |what: &str| {
            let at = bytes.len() - rest.len();
            Piece::Garbage(format!("{what} at byte {at}"))
        };
        if packets.len() >= MAX_PACKETS {
            packets.push(garbage(&format!("more than {MAX_PACKETS} packets")));
            return;
        }
        let mut body = rest;
        let Ok(header) = PacketHeader::try_from_reader(&mut body) else {
            packets.push(garbage("something that is no packet"));
            return;
        };
        // Partial lengths are for data alone (RFC 9580, 4.2.1.4), and so is the old indeterminate one.
        let length = match header.packet_length() {
            PacketLength::Fixed(length) => usize::try_from(length).unwrap_or(usize::MAX),
            PacketLength::Partial(_) | PacketLength::Indeterminate => usize::MAX,
        };
        let Some((body, after)) = body.split_at_checked(length) else {
            packets.push(garbage("a packet that ends too early"));
            return;
        };
        packets.extend(read_packet(header, body));
        rest = after;
    }
}

/// One packet. `None` for what says nothing about keys, or what nobody has to understand: unknown
/// versions of signatures (RFC 9580, 5.2.5), non-critical packets (4.3), padding and markers.
fn read_packet(header: PacketHeader, body: &[u8]) -> Option<Piece> {
    let tag = header.tag();
    let what = if matches!(tag, Tag::PublicKey | Tag::SecretKey) {
        "a key"
    } else if matches!(tag, Tag::PublicSubkey | Tag::SecretSubkey) {
        "a subkey"
    } else if matches!(tag, Tag::Signature | Tag::UserId | Tag::UserAttribute) {
        let packet = Packet::from_reader(header, body).ok()?;
        return Some(Piece::Packet(Box::new(packet)));
    } else if matches!(
        tag,
        Tag::Trust
            | Tag::Marker
            | Tag::Padding
            | Tag::UnassignedNonCritical(_)
            | Tag::Experimental(_)
    ) {
        return None;
    } else {
        let number = tag.encode();
        return Some(Piece::Garbage(format!("a packet of type {number}")));
    };
    Some(match Packet::from_reader(header, body) {
        Ok(packet) => Piece::Packet(Box::new(packet)),
        Err(_) => Piece::UnreadableKey(format!("{what} of {} bytes", body.len())),
    })
}
