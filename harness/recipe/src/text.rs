//! Characters that have no place in a value: control characters, characters that are not what they
//! look like, and a leading hyphen. Every grammar in [`crate::name`] asks here first, so that each
//! of these faults has one code whatever the value is.

use std::fmt;
use std::ops::Range;

use crate::code::Code;
use crate::diagnostic::quote;

/// Why a text is outside a grammar: a code, the bytes at fault, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFault {
    /// The diagnostic code.
    pub code: Code,
    /// The bytes of the text at fault, where a part of it can be named.
    pub range: Option<Range<usize>>,
    /// One line, a lower-case fragment.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

impl TextFault {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            range: None,
            message: message.into(),
            help: None,
        }
    }

    pub(crate) fn at(mut self, range: Range<usize>) -> Self {
        self.range = Some(range);
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TextFault {}

/// Refuses the empty text, control characters, anything but ASCII, and a leading hyphen.
pub(crate) fn strict(kind: &str, text: &str) -> Result<(), TextFault> {
    plain_ascii(kind, text)?;
    if text.starts_with('-') {
        return Err(option_fault(kind, text));
    }
    Ok(())
}

/// Refuses the empty text, control characters and anything but ASCII: [`strict`] for the one kind
/// of value that may be an option.
pub(crate) fn plain_ascii(kind: &str, text: &str) -> Result<(), TextFault> {
    if text.is_empty() {
        return Err(TextFault::new(
            Code::EmptyValue,
            format!("the {kind} is empty"),
        ));
    }
    let suspicious = text
        .char_indices()
        .find(|(_, c)| c.is_control() || !c.is_ascii());
    if let Some((at, c)) = suspicious {
        return Err(character_fault(kind, text, at, c));
    }
    Ok(())
}

/// Refuses control characters (except those allowed) and characters that cannot be seen or reorder
/// text. Letters of any script are welcome: this is for words people read.
pub(crate) fn readable(kind: &str, text: &str, allowed: &[char]) -> Result<(), TextFault> {
    let hidden = |c: char| {
        (c.is_control() && !allowed.contains(&c))
            || matches!(disguise(c), Disguise::Invisible | Disguise::Reorders)
    };
    match text.char_indices().find(|(_, c)| hidden(*c)) {
        Some((at, c)) => Err(character_fault(kind, text, at, c)),
        None => Ok(()),
    }
}

/// The fault of a value that begins with a hyphen.
fn option_fault(kind: &str, text: &str) -> TextFault {
    let message = format!(
        "the {kind} {} begins with `-`: a command would read it as an option",
        quote(text)
    );
    TextFault::new(Code::OptionInjection, message)
        .at(0..1)
        .help("remove the `-`: options cannot be given here")
}

fn character_fault(kind: &str, text: &str, at: usize, c: char) -> TextFault {
    let point = format!("U+{:04X}", u32::from(c));
    let range = at..at + c.len_utf8();
    if c.is_control() {
        let message = format!(
            "the {kind} {} holds the control character {point}",
            quote(text)
        );
        return TextFault::new(Code::ControlCharacter, message).at(range);
    }
    let what = match disguise(c) {
        Disguise::Invisible => "which cannot be seen".to_owned(),
        Disguise::Reorders => "which changes the order in which text is shown".to_owned(),
        Disguise::LooksLike(ascii) => format!("which looks like `{ascii}`"),
        Disguise::None => "which is not ASCII".to_owned(),
    };
    let message = format!("the {kind} {} holds {point}, {what}", quote(text));
    let fault = TextFault::new(Code::LookAlikeCharacter, message).at(range);
    match disguise(c) {
        Disguise::LooksLike(ascii) => {
            fault.help(format!("write `{ascii}` (U+{:04X})", u32::from(ascii)))
        }
        Disguise::Invisible | Disguise::Reorders => fault.help("remove the character"),
        Disguise::None => fault,
    }
}

/// How a character deceives.
enum Disguise {
    None,
    Invisible,
    Reorders,
    LooksLike(char),
}

/// Classifies a character after Unicode's reports 9 (directional controls), 36 and 39 (confusables);
/// the table holds the letters and signs that pass for ASCII in common fonts.
fn disguise(c: char) -> Disguise {
    match c {
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' => Disguise::Reorders,
        '\u{00ad}'
        | '\u{034f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => Disguise::Invisible,
        // Full-width forms stand in the order of ASCII.
        '\u{ff01}'..='\u{ff5e}' => u32::from(c)
            .checked_sub(0xfee0)
            .and_then(char::from_u32)
            .map_or(Disguise::None, Disguise::LooksLike),
        '\u{00a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            Disguise::LooksLike(' ')
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{02d7}' | '\u{fe58}' | '\u{fe63}' => {
            Disguise::LooksLike('-')
        }
        '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{02bc}' | '\u{2032}' => Disguise::LooksLike('\''),
        '\u{201c}' | '\u{201d}' | '\u{2033}' => Disguise::LooksLike('"'),
        '\u{2024}' | '\u{00b7}' | '\u{0660}' | '\u{06d4}' => Disguise::LooksLike('.'),
        '\u{2044}' | '\u{2215}' | '\u{29f8}' => Disguise::LooksLike('/'),
        '\u{a789}' | '\u{2236}' | '\u{02d0}' => Disguise::LooksLike(':'),
        'а' | 'α' | 'ɑ' => Disguise::LooksLike('a'),
        'с' | 'ϲ' => Disguise::LooksLike('c'),
        'ԁ' => Disguise::LooksLike('d'),
        'е' | 'ҽ' => Disguise::LooksLike('e'),
        'ɡ' => Disguise::LooksLike('g'),
        'һ' => Disguise::LooksLike('h'),
        'і' | 'ι' | 'ı' => Disguise::LooksLike('i'),
        'ј' | 'ϳ' => Disguise::LooksLike('j'),
        'ӏ' | 'ⅼ' => Disguise::LooksLike('l'),
        'ո' => Disguise::LooksLike('n'),
        'о' | 'ο' | 'օ' => Disguise::LooksLike('o'),
        'р' | 'ρ' => Disguise::LooksLike('p'),
        'ԛ' => Disguise::LooksLike('q'),
        'ѕ' => Disguise::LooksLike('s'),
        'υ' | 'ս' => Disguise::LooksLike('u'),
        'ν' | 'ѵ' => Disguise::LooksLike('v'),
        'ԝ' => Disguise::LooksLike('w'),
        'х' | 'χ' => Disguise::LooksLike('x'),
        'у' | 'γ' => Disguise::LooksLike('y'),
        'А' | 'Α' => Disguise::LooksLike('A'),
        'В' | 'Β' => Disguise::LooksLike('B'),
        'С' => Disguise::LooksLike('C'),
        'Е' | 'Ε' => Disguise::LooksLike('E'),
        'Н' | 'Η' => Disguise::LooksLike('H'),
        'І' | 'Ι' => Disguise::LooksLike('I'),
        'К' | 'Κ' => Disguise::LooksLike('K'),
        'М' | 'Μ' => Disguise::LooksLike('M'),
        'О' | 'Ο' => Disguise::LooksLike('O'),
        'Р' | 'Ρ' => Disguise::LooksLike('P'),
        'Т' | 'Τ' => Disguise::LooksLike('T'),
        'Х' | 'Χ' => Disguise::LooksLike('X'),
        _ => Disguise::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strict_code(text: &str) -> Option<Code> {
        strict("name", text).err().map(|fault| fault.code)
    }

    #[test]
    fn each_fault_has_its_code() {
        assert_eq!(strict_code("jq"), None);
        assert_eq!(strict_code(""), Some(Code::EmptyValue));
        assert_eq!(strict_code("j\0q"), Some(Code::ControlCharacter));
        assert_eq!(strict_code("j\u{7f}"), Some(Code::ControlCharacter));
        assert_eq!(strict_code("j\u{85}"), Some(Code::ControlCharacter));
        assert_eq!(strict_code("jq\u{200b}"), Some(Code::LookAlikeCharacter));
        assert_eq!(strict_code("\u{2010}y"), Some(Code::LookAlikeCharacter));
        assert_eq!(strict_code("--yes"), Some(Code::OptionInjection));
    }

    #[test]
    fn the_code_point_is_named() {
        let fault = strict("package name", "g\u{456}t").expect_err("a Cyrillic letter");
        assert_eq!(
            fault.message,
            "the package name `gіt` holds U+0456, which looks like `i`"
        );
        assert_eq!(fault.range, Some(1..3));
        let fault = strict("package name", "ｊq").expect_err("a full-width letter");
        assert_eq!(fault.help.as_deref(), Some("write `j` (U+006A)"));
    }

    #[test]
    fn what_passes_for_ascii_is_told_apart() {
        for (strange, plain) in [
            ("\u{00a0}\u{2000}\u{200a}\u{202f}\u{205f}\u{3000}", ' '),
            ("\u{2010}\u{2015}\u{2212}\u{02d7}\u{fe58}\u{fe63}", '-'),
            ("\u{2018}\u{2019}\u{201b}\u{02bc}\u{2032}", '\''),
            ("\u{201c}\u{201d}\u{2033}", '"'),
            ("\u{2024}\u{00b7}\u{0660}\u{06d4}", '.'),
            ("\u{2044}\u{2215}\u{29f8}", '/'),
            ("\u{a789}\u{2236}\u{02d0}", ':'),
            ("аαɑ", 'a'),
            ("сϲ", 'c'),
            ("ԁ", 'd'),
            ("еҽ", 'e'),
            ("ɡ", 'g'),
            ("һ", 'h'),
            ("іιı", 'i'),
            ("јϳ", 'j'),
            ("ӏⅼ", 'l'),
            ("ո", 'n'),
            ("оοօ", 'o'),
            ("рρ", 'p'),
            ("ԛ", 'q'),
            ("ѕ", 's'),
            ("υս", 'u'),
            ("νѵ", 'v'),
            ("ԝ", 'w'),
            ("хχ", 'x'),
            ("уγ", 'y'),
            ("АΑ", 'A'),
            ("ВΒ", 'B'),
            ("С", 'C'),
            ("ЕΕ", 'E'),
            ("НΗ", 'H'),
            ("ІΙ", 'I'),
            ("КΚ", 'K'),
            ("МΜ", 'M'),
            ("ОΟ", 'O'),
            ("РΡ", 'P'),
            ("ТΤ", 'T'),
            ("ХΧ", 'X'),
        ] {
            for c in strange.chars() {
                let fault = strict("name", &format!("x{c}")).expect_err("no ASCII");
                assert_eq!(fault.code, Code::LookAlikeCharacter, "{c:?}");
                assert_eq!(fault.range, Some(1..1 + c.len_utf8()), "{c:?}");
                let help = format!("write `{plain}` (U+{:04X})", u32::from(plain));
                assert_eq!(fault.help, Some(help), "{c:?}");
            }
        }
    }

    #[test]
    fn a_fault_says_its_message() {
        let fault = strict("name", "").expect_err("nothing");
        assert_eq!(fault.to_string(), fault.message);
    }

    #[test]
    fn words_for_people_take_all_scripts_and_nothing_hidden() {
        assert_eq!(readable("text", "Größe 漢字 а\n", &['\n']), Ok(()));
        assert!(readable("text", "a\u{202e}b", &[]).is_err());
        assert!(readable("text", "a\u{1b}[31m", &['\n']).is_err());
        assert!(readable("text", "a\u{200b}", &[]).is_err());
    }
}
