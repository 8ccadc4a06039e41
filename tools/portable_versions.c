// Frees an ELF file of the symbol versions of a glibc newer than the one it shall run with, for
// tools/make-portable.
//
// usage: portable_versions NEWEST FILE [SYMBOL...]      (NEWEST: 2.34)
//
// The symbols that are named are had from elsewhere. They lose their version in FILE, and where no
// other one has it the need for it goes as well: the loader refuses a file for a version that is
// not there, whatever uses it. FILE is written in place; the freed symbols are printed, one a line.
// Every other symbol that is too new is said on stderr, and the exit status is 1. Of a file that is
// not ELF nothing is said.
//
// The needs are a list of libraries (Verneed), each with a list of versions (Vernaux) that have a
// number in this file; a table beside the dynamic symbols (Versym) has each one's number. Lists are
// chained by distances in bytes, so that an entry goes by being passed over.
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    const char *path;
    char *bytes;
    size_t size;
    const ElfW(Shdr) * needs, *symbols, *versions; // NULL: it has no such section
};

static const char *section(const struct file *f, int index)
{
    const ElfW(Ehdr) *header = (const void *)f->bytes;
    return f->bytes + ((const ElfW(Shdr) *)(f->bytes + header->e_shoff))[index].sh_offset;
}

static void fail(const char *path, const char *what)
{
    fprintf(stderr, "make-portable: '%s': %s\n", path, what);
    exit(1);
}

// false if it is not ELF.
static bool map_file(struct file *f, const char *path)
{
    struct stat status;
    const int fd = open(path, O_RDWR);
    if (fd < 0 || fstat(fd, &status) != 0)
        fail(path, "cannot be opened");
    *f = (struct file){.path = path, .size = (size_t)status.st_size};
    if (f->size < sizeof(ElfW(Ehdr)))
        return close(fd), false;
    f->bytes = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (f->bytes == MAP_FAILED)
        fail(path, "cannot be mapped");
    if (memcmp(f->bytes, ELFMAG, SELFMAG) != 0)
        return false;
    const ElfW(Ehdr) *header = (const void *)f->bytes;
    if (header->e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32))
        fail(path, "is of another machine");
    const ElfW(Shdr) *sections = (const void *)(f->bytes + header->e_shoff);
    for (int i = 0; i < header->e_shnum; i++) {
        if (sections[i].sh_type == SHT_GNU_verneed)
            f->needs = &sections[i];
        else if (sections[i].sh_type == SHT_GNU_versym)
            f->versions = &sections[i];
        else if (sections[i].sh_type == SHT_DYNSYM)
            f->symbols = &sections[i];
    }
    return true;
}

// Whether a version is one of glibc's that 2.NEWEST lacks: GLIBC_2.N above it, GLIBC_ABI_DT_RELR and
// others without a number.
static bool is_newer(const char *version, int newest)
{
    int minor;
    if (strncmp(version, "GLIBC_", 6) != 0)
        return false;
    return sscanf(version, "GLIBC_2.%d", &minor) != 1 || minor > newest;
}

static bool is_named(const char *symbol, char **names)
{
    while (*names != NULL && strcmp(*names, symbol) != 0)
        names++;
    return *names != NULL;
}

// Frees the named symbols of one version, or says which others have it; false if there are any.
static bool free_symbols(const struct file *f, int number, const char *version, char **names)
{
    ElfW(Half) *numbers = (void *)(f->bytes + f->versions->sh_offset);
    const ElfW(Sym) *symbols = (const void *)(f->bytes + f->symbols->sh_offset);
    const char *text = section(f, (int)f->symbols->sh_link);
    const size_t count = f->symbols->sh_size / sizeof *symbols;
    bool all = true, any = false;
    for (size_t i = 0; i < count; i++) {
        if ((numbers[i] & 0x7fff) != number)
            continue;
        any = true;
        if (is_named(text + symbols[i].st_name, names)) {
            puts(text + symbols[i].st_name);
            numbers[i] = VER_NDX_GLOBAL;
        } else {
            fprintf(stderr, "make-portable: '%s' needs %s of %s\n", f->path,
                    text + symbols[i].st_name, version);
            all = false;
        }
    }
    if (!any)
        fprintf(stderr, "make-portable: '%s' needs %s\n", f->path, version);
    return all && any;
}

// Takes the versions that are too new out of a library's list; false if one has to stay.
static bool free_library(const struct file *f, ElfW(Verneed) * need, int newest, char **names)
{
    const char *text = section(f, (int)f->needs->sh_link);
    ElfW(Vernaux) *at = (void *)((char *)need + need->vn_aux), *before = NULL;
    bool all = true;
    for (int left = need->vn_cnt; left > 0; left--) {
        ElfW(Vernaux) *next = (void *)((char *)at + at->vna_next);
        if (!is_newer(text + at->vna_name, newest)) {
            before = at;
        } else if (!free_symbols(f, at->vna_other, text + at->vna_name, names)) {
            all = false;
            before = at;
        } else if (need->vn_cnt == 1) { // a library with no version: nothing of ours has met one
            fail(f->path, "would need no version of a library any more");
        } else {
            need->vn_cnt--;
            if (before == NULL)
                need->vn_aux += at->vna_next;
            else
                before->vna_next = at->vna_next == 0 ? 0 : before->vna_next + at->vna_next;
        }
        at = next;
    }
    return all;
}

int main(int argc, char **argv)
{
    struct file f;
    int newest;
    bool all = true;
    if (argc < 3 || sscanf(argv[1], "2.%d", &newest) != 1) {
        fprintf(stderr, "usage: portable_versions NEWEST FILE [SYMBOL...]\n");
        return 2;
    }
    if (!map_file(&f, argv[2]) || f.needs == NULL || f.versions == NULL || f.symbols == NULL)
        return 0;
    char *need = f.bytes + f.needs->sh_offset;
    for (int left = (int)f.needs->sh_info; left > 0; left--) {
        all &= free_library(&f, (void *)need, newest, argv + 3);
        need += ((ElfW(Verneed) *)(void *)need)->vn_next;
    }
    return all ? 0 : 1;
}
