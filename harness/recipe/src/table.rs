//! Walks spanned TOML tables: takes keys by type, reports what is missing, mistyped or unknown.
//! Every converter of this crate is written with these few functions; none of them stops at the
//! first fault, and none reports one fault twice.

use assay_wire::source::Span;
use toml::de::{DeTable, DeValue};

use crate::code::Code;
use crate::diagnostic::{Diagnostic, Faults, Spanned, nearest, quote};
use crate::text::TextFault;

/// What a converter needs: the file's text, for exact places, and where faults go.
pub(crate) struct Reader<'a> {
    pub(crate) text: &'a str,
    pub(crate) faults: &'a mut Faults,
}

/// A table and how messages call it.
#[derive(Clone)]
pub(crate) struct Table<'a> {
    entries: &'a DeTable<'a>,
    pub(crate) span: Span,
    pub(crate) name: String,
}

/// A value and how messages call it.
#[derive(Clone, Copy)]
pub(crate) struct Value<'a> {
    value: &'a DeValue<'a>,
    pub(crate) span: Span,
}

impl<'a> Table<'a> {
    /// The table of a whole file.
    pub(crate) fn root(entries: &'a DeTable<'a>) -> Self {
        Self {
            entries,
            span: Span::default(),
            name: "the file".to_owned(),
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Value<'a>> {
        self.entries.get(key).map(|value| Value {
            value: value.get_ref(),
            span: Span::new(value.span()),
        })
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every key with its place.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (&'a str, Span)> + use<'a> {
        self.entries
            .keys()
            .map(|key| (key.get_ref().as_ref(), Span::new(key.span())))
    }

    /// The places of every key and of every value that is no table or list, however deep.
    pub(crate) fn leaves(&self, found: &mut Vec<Span>) {
        for (key, value) in self.entries {
            found.push(Span::new(key.span()));
            leaves(value, found);
        }
    }

    /// Where a key stands.
    pub(crate) fn key_span(&self, key: &str) -> Option<Span> {
        self.entries
            .get_key_value(key)
            .map(|(key, _)| Span::new(key.span()))
    }
}

impl<'a> Value<'a> {
    pub(crate) fn as_str(self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(crate) fn as_table(self, name: impl Into<String>) -> Option<Table<'a>> {
        self.value.as_table().map(|entries| Table {
            entries,
            span: self.span,
            name: name.into(),
        })
    }

    /// A date or time, as it would stand in a string.
    pub(crate) fn as_date_text(self) -> Option<String> {
        self.value.as_datetime().map(ToString::to_string)
    }

    /// The tables of an array of tables; none if it is something else.
    pub(crate) fn tables(self, name: &str) -> Vec<Table<'a>> {
        let items = self.items().into_iter().flatten();
        items.filter_map(|item| item.as_table(name)).collect()
    }

    /// The strings of a list, or the one string that stands for a list of one.
    pub(crate) fn texts(self) -> Vec<&'a str> {
        let items = self.items().into_iter().flatten();
        let own = self.as_str().into_iter();
        own.chain(items.filter_map(Value::as_str)).collect()
    }

    fn items(self) -> Option<impl Iterator<Item = Value<'a>>> {
        let array = self.value.as_array()?;
        Some(array.iter().map(|item| Value {
            value: item.get_ref(),
            span: Span::new(item.span()),
        }))
    }

    /// The type in words, with its article.
    pub(crate) fn type_name(self) -> &'static str {
        match self.value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        }
    }
}

/// The places of values below a value. Documents are not nested deeper than the parser allows.
fn leaves(value: &toml::Spanned<DeValue<'_>>, found: &mut Vec<Span>) {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().for_each(|item| leaves(item, found)),
        DeValue::Table(entries) => {
            for (key, value) in entries {
                found.push(Span::new(key.span()));
                leaves(value, found);
            }
        }
        DeValue::String(_)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_) => found.push(Span::new(value.span())),
    }
}

impl Reader<'_> {
    /// Reports every key that is not known, and every known one that joins with a later version.
    pub(crate) fn check_keys(&mut self, table: &Table<'_>, known: &[&str], later: &[&str]) {
        self.check_keys_beside(table, known, later, &[]);
    }

    /// The same in a table where other tools have keys, too, which nobody is advised to write.
    pub(crate) fn check_keys_beside(
        &mut self,
        table: &Table<'_>,
        known: &[&str],
        later: &[&str],
        foreign: &[&str],
    ) {
        for (key, span) in table.keys() {
            if known.contains(&key) || foreign.contains(&key) || self.faults.is_full() {
                continue;
            }
            if later.contains(&key) {
                let message = format!(
                    "{} of {} is not supported by this version of assay",
                    quote(key),
                    table.name
                );
                self.faults.report(
                    Diagnostic::new(Code::KeyNotSupported, span, message)
                        .help("remove it, or wait for a version that knows it"),
                );
                continue;
            }
            let message = format!("unknown key {} in {}", quote(key), table.name);
            let help = match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", words(known)),
            };
            self.faults
                .report(Diagnostic::new(Code::UnknownKey, span, message).help(help));
        }
    }

    /// Reports a key that must be there and is not; a key of the wrong type was reported already.
    pub(crate) fn required<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        value: Option<T>,
    ) -> Option<T> {
        if value.is_none() && !table.has(key) {
            let message = format!("{} has no {}", table.name, quote(key));
            self.faults.report(
                Diagnostic::new(Code::MissingKey, table.span, message)
                    .help(format!("add `{key} = …`")),
            );
        }
        value
    }

    /// Reports a value of another type than it should have.
    pub(crate) fn wrong_type(&mut self, key: &str, value: Value<'_>, expected: &str) {
        let message = format!("{} is {}, not {expected}", quote(key), value.type_name());
        self.faults
            .report(Diagnostic::new(Code::WrongType, value.span, message));
    }

    /// The hash of something from the network, which must be there: a command adds it.
    pub(crate) fn required_hash<T>(
        &mut self,
        table: &Table<'_>,
        key: &str,
        value: Option<T>,
    ) -> Option<T> {
        if value.is_none() && !table.has(key) {
            let message = format!("{} has no {}", table.name, quote(key));
            let help = format!("`assay pin --write FILE` fetches it and adds `{key} = …`");
            self.faults
                .report(Diagnostic::new(Code::MissingKey, table.span, message).help(help));
        }
        value
    }

    /// A string.
    pub(crate) fn string<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Spanned<&'a str>> {
        let value = table.get(key)?;
        self.string_value(key, value)
    }

    pub(crate) fn string_value<'a>(
        &mut self,
        key: &str,
        value: Value<'a>,
    ) -> Option<Spanned<&'a str>> {
        let text = value.as_str();
        if text.is_none() {
            self.wrong_type(key, value, "a string");
        }
        text.map(|text| Spanned::new(text, value.span))
    }

    /// A string within a grammar.
    pub(crate) fn parsed<'a, T>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, TextFault>,
    ) -> Option<Spanned<T>> {
        let text = self.string(table, key)?;
        self.read(text, read)
    }

    /// Reads a string; a fault is reported at its exact bytes.
    pub(crate) fn read<T>(
        &mut self,
        text: Spanned<&str>,
        read: impl FnOnce(&str) -> Result<T, TextFault>,
    ) -> Option<Spanned<T>> {
        match read(text.value) {
            Ok(value) => Some(Spanned::new(value, text.span)),
            Err(fault) => {
                let span = self.place(text, fault.range.clone());
                let diagnostic = Diagnostic::new(fault.code, span, fault.message);
                self.faults.report(Diagnostic {
                    help: fault.help,
                    ..diagnostic
                });
                None
            }
        }
    }

    /// The bytes of a part of a string, when the string is written without escapes; else all of it.
    fn place(&self, text: Spanned<&str>, range: Option<std::ops::Range<usize>>) -> Span {
        let raw = self.text.get(text.span.range()).unwrap_or_default();
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        match range {
            Some(range) if inner == text.value => {
                let start = text.span.start as usize + 1;
                Span::new(start + range.start..start + range.end)
            }
            Some(_) | None => text.span,
        }
    }

    /// A boolean.
    pub(crate) fn boolean(&mut self, table: &Table<'_>, key: &str) -> Option<Spanned<bool>> {
        let value = table.get(key)?;
        let flag = value.value.as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "a boolean (`true` or `false`)");
        }
        flag.map(|flag| Spanned::new(flag, value.span))
    }

    /// An integer as the text of its digits, with its radix; the caller knows its limits.
    pub(crate) fn integer(&mut self, table: &Table<'_>, key: &str) -> Option<Spanned<Option<i64>>> {
        let value = table.get(key)?;
        let number = value
            .value
            .as_integer()
            .map(|number| i64::from_str_radix(number.as_str(), number.radix()).ok());
        if number.is_none() {
            self.wrong_type(key, value, "an integer");
        }
        number.map(|number| Spanned::new(number, value.span))
    }

    /// The items of a list, or the one item that stands for a list of one. An empty list is
    /// reported and is no list.
    pub(crate) fn items<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<Vec<Value<'a>>> {
        let value = table.get(key)?;
        let Some(items) = value.items() else {
            return Some(vec![value]);
        };
        let items: Vec<_> = items.collect();
        if items.is_empty() {
            let message = format!("{} is empty", quote(key));
            self.faults.report(
                Diagnostic::new(Code::EmptyValue, value.span, message)
                    .help("name something, or leave the key out"),
            );
            return None;
        }
        Some(items)
    }

    /// A list of strings within a grammar; a string stands for a list of one. Entries that fail are
    /// reported and left out, repeated ones are warned about and kept once.
    pub(crate) fn list<'a, T: Ord + Clone>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        read: impl Fn(&str) -> Result<T, TextFault>,
    ) -> Option<Vec<Spanned<T>>> {
        let items = self.items(table, key)?;
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            let Some(text) = item.as_str() else {
                self.wrong_type(key, item, "a string or a list of strings");
                continue;
            };
            list.extend(self.read(Spanned::new(text, item.span), &read));
        }
        Some(self.without_repetitions(key, list, |item| &item.value, |item| item.span))
    }

    /// Warns about entries that were there before, and keeps the first of each.
    pub(crate) fn without_repetitions<I, K: Ord>(
        &mut self,
        key: &str,
        list: Vec<I>,
        by: impl Fn(&I) -> &K,
        span: impl Fn(&I) -> Span,
    ) -> Vec<I> {
        let mut order: Vec<usize> = (0..list.len()).collect();
        // A stable sort keeps equal entries in the order they were written.
        order.sort_by(|a, b| by(&list[*a]).cmp(by(&list[*b])));
        let mut repeated = vec![false; list.len()];
        let mut first = None;
        for at in order {
            match first {
                Some(before) if by(&list[before]) == by(&list[at]) => {
                    repeated[at] = true;
                    let message = format!("{} names this twice", quote(key));
                    let diagnostic =
                        Diagnostic::new(Code::DuplicateEntry, span(&list[at]), message)
                            .labelled("again")
                            .and(span(&list[before]), "first");
                    self.faults.report(diagnostic.help("remove one of them"));
                }
                Some(_) | None => first = Some(at),
            }
        }
        list.into_iter()
            .zip(repeated)
            .filter(|(_, repeated)| !repeated)
            .map(|(item, _)| item)
            .collect()
    }

    /// One table.
    pub(crate) fn table<'a>(
        &mut self,
        table: &Table<'a>,
        key: &str,
        name: impl Into<String>,
    ) -> Option<Table<'a>> {
        let value = table.get(key)?;
        let found = value.as_table(name);
        if found.is_none() {
            self.wrong_type(key, value, "a table");
        }
        found
    }

    /// The tables of an array of tables.
    pub(crate) fn tables<'a>(&mut self, table: &Table<'a>, key: &str) -> Vec<Table<'a>> {
        let Some(value) = table.get(key) else {
            return Vec::new();
        };
        let Some(items) = value.items() else {
            self.wrong_type(key, value, &format!("a list of tables (`[[{key}]]`)"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (at, item) in items.enumerate() {
            match item.as_table(format!("`[[{key}]]` {}", at + 1)) {
                Some(found) => tables.push(found),
                None => self.wrong_type(key, item, &format!("a table (`[[{key}]]`)")),
            }
        }
        tables
    }
}

/// Words in backticks with commas between them.
pub(crate) fn words<'w>(words: impl IntoIterator<Item = &'w &'w str>) -> String {
    words
        .into_iter()
        .map(|word| format!("`{word}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
