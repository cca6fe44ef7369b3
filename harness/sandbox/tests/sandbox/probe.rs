//! A stand-in for the executor, compiled statically by the tests that need a real container: it
//! needs nothing of its image, so that the image can be an empty folder. Each line of its input
//! is a command; it ends with its input.

use std::io::{BufRead, Read, Write};

fn main() {
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut line = String::new();
    while input.read_line(&mut line).is_ok_and(|count| count > 0) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["read", path] => {
                let text = std::fs::read_to_string(path).unwrap_or_else(|e| e.to_string());
                answer(&mut output, &text);
            }
            ["list", path] => {
                let mut names: Vec<String> = std::fs::read_dir(path)
                    .map(|entries| {
                        entries
                            .flatten()
                            .map(|e| e.file_name().to_string_lossy().into_owned())
                            .collect()
                    })
                    .unwrap_or_default();
                names.sort();
                answer(&mut output, &names.join(" "));
            }
            ["env"] => {
                let names: Vec<String> = std::env::vars().map(|(name, _)| name).collect();
                answer(&mut output, &names.join(" "));
            }
            ["write", path] => {
                answer(&mut output, &format!("{:?}", std::fs::write(path, "x")));
            }
            ["spew", bytes] => {
                let mut left: usize = bytes.parse().unwrap_or(0);
                let block = vec![b'x'; 1 << 16];
                while left > 0 {
                    let count = left.min(block.len());
                    if output.write_all(&block[..count]).is_err() {
                        return;
                    }
                    left -= count;
                }
            }
            ["swallow", bytes] => {
                let wanted: u64 = bytes.parse().unwrap_or(0);
                let got = std::io::copy(&mut (&mut input).take(wanted), &mut std::io::sink());
                answer(&mut output, &got.unwrap_or(0).to_string());
            }
            ["threads"] => {
                let mut count = 0;
                let sleeper = || std::thread::sleep(std::time::Duration::from_secs(60));
                while std::thread::Builder::new()
                    .stack_size(1 << 14)
                    .spawn(sleeper)
                    .is_ok()
                {
                    count += 1;
                }
                answer(&mut output, &count.to_string());
            }
            ["eat", bytes] => {
                let eaten = vec![1_u8; bytes.parse().unwrap_or(0)];
                answer(
                    &mut output,
                    &eaten
                        .iter()
                        .map(|byte| usize::from(*byte))
                        .sum::<usize>()
                        .to_string(),
                );
            }
            ["complain"] => eprintln!("out of \x1b[31mluck"),
            ["exit", code] => std::process::exit(code.parse().unwrap_or(1)),
            _ => answer(&mut output, "?"),
        }
        let _ = output.flush();
        line.clear();
    }
}

/// Text with its length, so that it may hold anything.
fn answer(output: &mut impl Write, text: &str) {
    let _ = write!(output, "{}\n{text}", text.len());
}
