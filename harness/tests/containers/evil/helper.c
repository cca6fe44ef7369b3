/* What a shell cannot do: one verb for each thing that only an attack does. Compiled by the tests, put
 * into the package `evil-tool`, and run by the scripts, commands and hooks of the table in cases.rs.
 *
 * Every verb asks for what it is about and exits with 0, whatever the answer: a refusal must not end the
 * script, because what is looked at is what was told of the question. Exit code 2 is a mistake in the
 * table. Nothing here is meant to get anywhere: it is loud, and it undoes nothing.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static void told(const char *what, long result) {
    if (result < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, result);
}

static struct sockaddr_in address(const char *host, const char *port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
    inet_pton(AF_INET, host, &to.sin_addr);
    return to;
}

static void do_listen(char **words) {
    struct sockaddr_in at = address(words[0], words[1]);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    told("bind", bind(socket_, (struct sockaddr *)&at, sizeof at));
    told("listen", listen(socket_, 1));
}

static void do_connect(char **words) {
    struct sockaddr_in to = address(words[0], words[1]);
    told("connect", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&to, sizeof to));
}

/* Asks the proxy of the sandbox for a host. */
static void do_fetch(char **words) {
    struct sockaddr_in proxy = address("127.0.0.1", words[0]);
    int socket_ = socket(AF_INET, SOCK_STREAM, 0);
    char text[512];
    int length = snprintf(text, sizeof text, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", words[1], words[1]);
    told("connect", connect(socket_, (struct sockaddr *)&proxy, sizeof proxy));
    told("ask", write(socket_, text, length));
    told("answer", read(socket_, text, sizeof text));
}

/* A program that no file holds, under another name. */
static void do_memfd(char **words) {
    char bytes[65536], path[64];
    int self = open("/proc/self/exe", O_RDONLY), hidden = syscall(SYS_memfd_create, words[0], 0);
    for (ssize_t got; (got = read(self, bytes, sizeof bytes)) > 0;)
        if (write(hidden, bytes, got) != got)
            return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", hidden);
    execl(path, "innocent", "nothing", NULL);
    told("execute", -1);
}

static void do_uring(char **words) {
    (void)words;
    char parameters[128] = {0};
    told("io_uring_setup", syscall(SYS_io_uring_setup, 8, parameters));
}

/* getpid(2) by its 32-bit number. */
static void do_old(char **words) {
    (void)words;
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
    printf("32-bit call: %ld\n", result);
#endif
}

static void do_attach(char **words) {
    (void)words;
    told("seize", ptrace(PTRACE_SEIZE, 1, 0, 0));
    told("attach", ptrace(PTRACE_ATTACH, 1, 0, 0));
}

/* Both ways into the memory of PID 1. */
static void do_memory(char **words) {
    (void)words;
    char byte = 0;
    struct iovec here = {&byte, 1}, there = {(void *)0x400000, 1};
    int memory = open("/proc/1/mem", O_RDWR);
    told("open", memory);
    told("write", pwrite(memory, &byte, 1, 0x400000));
    told("process_vm_writev", process_vm_writev(1, &here, 1, &there, 1, 0));
}

/* Every way to send a signal to PID 1. */
static void do_kill(char **words) {
    (void)words;
    siginfo_t forged = {.si_signo = SIGKILL, .si_code = SI_QUEUE};
    for (int number = 1; number < 32; number++)
        kill(1, number);
    told("kill", kill(1, SIGKILL));
    told("tkill", syscall(SYS_tkill, 1, SIGKILL));
    told("tgkill", syscall(SYS_tgkill, 1, 1, SIGKILL));
    told("rt_sigqueueinfo", syscall(SYS_rt_sigqueueinfo, 1, SIGKILL, &forged));
    int process = syscall(SYS_pidfd_open, 1, 0);
    told("pidfd_open", process);
    told("pidfd_send_signal", syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0));
}

/* What the executor would say at its end, on every descriptor it may have. */
static void do_forge(char **words) {
    (void)words;
    static const char frame[] = "\012\0\0\0\0\0\0\0\0\"goodbye\"forged";
    for (int number = 0; number < 128; number++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/1/fd/%d", number);
        int stream = open(path, O_WRONLY);
        if (stream >= 0 && write(stream, frame, sizeof frame) > 0)
            printf("forged %d\n", number);
        stream = syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, 1, 0), number, 0);
        if (stream >= 0 && write(stream, frame, sizeof frame) > 0)
            printf("forged %d\n", number);
    }
}

static void do_module(char **words) {
    char none[64] = {0};
    told("init_module", syscall(SYS_init_module, none, sizeof none, ""));
    told("finit_module", syscall(SYS_finit_module, open(words[0], O_RDONLY), "", 0));
}

static void do_mount(char **words) {
    told("mount", mount("none", words[0], "tmpfs", 0, NULL));
}

/* cap_net_raw, permitted and in effect (linux/capability.h, revision 2). */
static void do_setcap(char **words) {
    static const unsigned char value[20] = {0, 0, 0, 2, 0, 0x20};
    unsigned char effective[20];
    memcpy(effective, value, sizeof value);
    effective[0] = 1;
    told("setxattr", setxattr(words[0], "security.capability", effective, sizeof effective, 0));
}

static void put(const char *path, int flags, const char *text) {
    int file = open(path, flags | O_WRONLY, 0644);
    told(path, file < 0 ? -1 : write(file, text, strlen(text)));
    close(file);
}

static void do_put(char **words) { put(words[0], O_CREAT, words[1]); }

/* Makes a file, makes use of it, and takes it away. */
static void do_passing(char **words) {
    char text[64];
    put(words[0], O_CREAT, words[1]);
    int file = open(words[0], O_RDONLY);
    told("use", read(file, text, sizeof text));
    close(file);
    told("unlink", unlink(words[0]));
}

/* The same with a program that runs as root, whoever starts it. */
static void do_passing_setuid(char **words) {
    put(words[0], O_CREAT, "#!/bin/sh\nexit 0\n");
    told("chmod", chmod(words[0], 04755));
    told("use", system(words[0]));
    told("unlink", unlink(words[0]));
}

/* Adds to a file, and then puts it back as it was. */
static void do_back(char **words) {
    static char before[1 << 20];
    int file = open(words[0], O_RDONLY);
    ssize_t length = read(file, before, sizeof before);
    close(file);
    put(words[0], O_APPEND, words[1]);
    file = open(words[0], O_WRONLY | O_TRUNC);
    told("put back", write(file, before, length));
    close(file);
}

/* A path that another thread changes between the look at it and its use. Both are as long. */
static char argument[256];
static const char *harmless, *meant;
static volatile int goes_on = 1;

static void *flip(void *nothing) {
    (void)nothing;
    while (goes_on) {
        memcpy(argument, harmless, strlen(harmless) + 1);
        memcpy(argument, meant, strlen(meant) + 1);
    }
    return NULL;
}

static void do_race(char **words) {
    pthread_t flips;
    struct stat seen;
    harmless = words[0], meant = words[1];
    strcpy(argument, harmless);
    pthread_create(&flips, NULL, flip, NULL);
    for (int round = 0; round < 20000 && stat(meant, &seen) != 0; round++) {
        int file = open(argument, O_WRONLY | O_CREAT, 0644);
        if (file >= 0 && write(file, words[2], strlen(words[2])) >= 0)
            close(file);
    }
    goes_on = 0;
    pthread_join(flips, NULL);
    told("won", stat(meant, &seen));
}

/* The same with a link that leads elsewhere in between. */
static void do_swap(char **words) {
    const char *link_ = "/var/tmp/evil-link", *next = "/var/tmp/evil-next";
    put(words[0], O_CREAT, "");
    told("symlink", symlink(words[0], link_));
    if (fork() == 0) {
        for (int round = 0; round < 2000; round++) {
            const char *to = round % 2 ? words[0] : words[1];
            if (symlink(to, next) == 0)
                rename(next, link_);
        }
        _exit(0);
    }
    struct stat seen;
    for (int round = 0; round < 20000 && stat(words[1], &seen) != 0; round++) {
        int file = open(link_, O_WRONLY | O_CREAT, 0644);
        if (file >= 0 && write(file, words[2], strlen(words[2])) >= 0)
            close(file);
    }
    wait(NULL);
    told("won", stat(words[1], &seen));
}

/* Another name of a protected file, by which it is opened for everybody. */
static void do_alias(char **words) {
    told("link", link(words[0], words[1]));
    told("chmod", chmod(words[1], 0666));
    told("unlink", unlink(words[1]));
}

/* Another name of a protected file, by which it is written to. */
static void do_alias_write(char **words) {
    told("link", link(words[0], words[1]));
    put(words[1], O_APPEND, words[2]);
    /* Tools of accounts refuse a last line without an end. */
    put(words[1], O_APPEND, "\n");
    told("unlink", unlink(words[1]));
}

static void do_keep_alias(char **words) { told("link", link(words[0], words[1])); }

static void do_nothing(char **words) { (void)words; }

static const struct {
    const char *name;
    int words;
    void (*does)(char **);
} VERBS[] = {
    {"alias", 2, do_alias},       {"alias-write", 3, do_alias_write},
    {"attach", 0, do_attach},     {"back", 2, do_back},
    {"connect", 2, do_connect},   {"fetch", 2, do_fetch},
    {"forge", 0, do_forge},       {"keep-alias", 2, do_keep_alias},
    {"kill", 0, do_kill},         {"listen", 2, do_listen},
    {"memfd", 1, do_memfd},       {"memory", 0, do_memory},
    {"module", 1, do_module},     {"mount", 1, do_mount},
    {"nothing", 0, do_nothing},   {"old", 0, do_old},
    {"passing", 2, do_passing},   {"passing-setuid", 1, do_passing_setuid},
    {"put", 2, do_put},           {"race", 3, do_race},
    {"setcap", 1, do_setcap},     {"swap", 3, do_swap},
    {"uring", 0, do_uring},
};

int main(int count, char **words) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t at = 0; at < sizeof VERBS / sizeof *VERBS; at++)
        if (count >= 2 && strcmp(words[1], VERBS[at].name) == 0 && count - 2 == VERBS[at].words) {
            VERBS[at].does(words + 2);
            return 0;
        }
    fprintf(stderr, "evil-helper: no such verb, or not so many words\n");
    return 2;
}
