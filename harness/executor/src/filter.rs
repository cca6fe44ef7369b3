//! Filters of system calls (seccomp(2)), as the statements the kernel runs before every call. What a
//! filter is for is said where it is made: [`crate::confine`], [`crate::trace`].

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, c_long,
    sock_filter,
};

/// `AUDIT_ARCH_X86_64` and `AUDIT_ARCH_AARCH64` of linux/audit.h: what a native call carries.
pub(crate) const ARCHITECTURE: u32 = if cfg!(target_arch = "x86_64") {
    0xC000_003E
} else {
    0xC000_00B7
};

/// From this number on calls are those of the x32 form (`__X32_SYSCALL_BIT`).
const X32: u32 = 0x4000_0000;

/// Where `struct seccomp_data` holds the call's number and its architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// A filter in the making: it answers by the first rule that fits, and allows what none fits.
#[derive(Debug)]
pub(crate) struct Filter {
    statements: Vec<sock_filter>,
}

impl Filter {
    /// A filter that answers calls by the numbers of another architecture so.
    pub(crate) fn new(foreign: u32) -> Self {
        Self {
            statements: vec![
                load(ARCHITECTURE_AT),
                jump(BPF_JEQ, ARCHITECTURE, 1, 0),
                answer(foreign),
                load(NUMBER),
                jump(BPF_JGE, X32, 0, 1),
                answer(foreign),
            ],
        }
    }

    /// Answers a call so.
    pub(crate) fn always(&mut self, call: c_long, with: u32) {
        self.statements.extend([is_call(call, 1), answer(with)]);
    }

    /// Answers a call so if any of these bits is set in the low half of an argument, and allows it
    /// otherwise.
    pub(crate) fn if_any_bit(&mut self, call: c_long, argument: u32, bits: u32, with: u32) {
        self.statements.extend([
            is_call(call, 4),
            load_argument(argument),
            jump(BPF_JSET, bits, 0, 1),
            answer(with),
            answer(libc::SECCOMP_RET_ALLOW),
        ]);
    }

    /// Answers a call so if the low half of an argument is one of these values, and allows it otherwise.
    pub(crate) fn if_any_of(
        &mut self,
        call: c_long,
        argument: u32,
        [one, other, third]: [u32; 3],
        with: u32,
    ) {
        self.statements.extend([
            is_call(call, 6),
            load_argument(argument),
            jump(BPF_JEQ, one, 2, 0),
            jump(BPF_JEQ, other, 1, 0),
            jump(BPF_JEQ, third, 0, 1),
            answer(with),
            answer(libc::SECCOMP_RET_ALLOW),
        ]);
    }

    /// Installs it for this process and everything it starts, without `no_new_privs`, which would
    /// break programs that are setuid: so it needs `CAP_SYS_ADMIN`.
    #[expect(
        unsafe_code,
        reason = "no safe wrapper installs a filter without setting no_new_privs"
    )]
    pub(crate) fn install(mut self) -> io::Result<()> {
        self.statements.push(answer(libc::SECCOMP_RET_ALLOW));
        let program = libc::sock_fprog {
            len: u16::try_from(self.statements.len()).map_err(io::Error::other)?,
            filter: self.statements.as_mut_ptr(),
        };
        // SAFETY: the program points to as many statements as it says, which outlive the call, and
        // the kernel copies and checks them.
        let result = unsafe {
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::c_ulong::from(libc::SECCOMP_MODE_FILTER),
                &raw const program,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// The answer by which a call fails with an error.
pub(crate) fn refused(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
}

fn load(at: u32) -> sock_filter {
    statement(BPF_LD | BPF_W | BPF_ABS, at)
}

/// The low half of an argument, on a little-endian machine.
fn load_argument(argument: u32) -> sock_filter {
    load(16 + 8 * argument)
}

fn answer(value: u32) -> sock_filter {
    statement(BPF_RET | BPF_K, value)
}

/// Passes over so many statements if the call, whose number is loaded, is another.
fn is_call(call: c_long, else_over: u8) -> sock_filter {
    jump(
        BPF_JEQ,
        u32::try_from(call).unwrap_or(u32::MAX),
        0,
        else_over,
    )
}

fn statement(code: u32, k: u32) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Passes over `jt` statements if the comparison holds, over `jf` if not.
fn jump(comparison: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        jt,
        jf,
        ..statement(BPF_JMP | comparison | BPF_K, k)
    }
}

/// What a filter answers to a call, run as the kernel would.
#[cfg(test)]
pub(crate) fn run(filter: &Filter, architecture: u32, call: c_long, arguments: [u32; 6]) -> u32 {
    let mut at = 0;
    let mut value = 0;
    loop {
        let Some(statement) = filter.statements.get(at) else {
            return libc::SECCOMP_RET_ALLOW;
        };
        at += 1;
        let code = u32::from(statement.code);
        if code == BPF_LD | BPF_W | BPF_ABS {
            value = match statement.k {
                NUMBER => u32::try_from(call).expect("a number"),
                ARCHITECTURE_AT => architecture,
                argument => arguments[((argument - 16) / 8) as usize],
            };
        } else if code == BPF_RET | BPF_K {
            return statement.k;
        } else {
            let holds = match code & !(BPF_JMP | BPF_K) {
                BPF_JEQ => value == statement.k,
                BPF_JGE => value >= statement.k,
                BPF_JSET => value & statement.k != 0,
                other => panic!("no such comparison: {other}"),
            };
            at += usize::from(if holds { statement.jt } else { statement.jf });
        }
    }
}
