/* shared.cu - finds static shared variables in the program's own symbol table (ELF).
 *
 * A variable of a function whose mangled name is _ZF is called _ZZFE<name>; the marker before it
 * _ZZFE<length>emulator_shared_<line>. So the marker's address gives F, and F gives the variables.
 */
#include "tests/emulator/launches.h"
#include "tests/emulator/report.h"
#include "tests/emulator/shared.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

namespace emulator
{

static const char MARKER[] = "emulator_shared_";
static const char OWN_NAME[] = "_ZN8emulator7currentE";

struct Variable {
    size_t offset, bytes; // in the segment of thread-local storage
    bool shared;
    std::string function; // "_ZZFE" of a marker or shared variable
};

struct SharedTable {
    std::vector<Variable> variables; // by offset
    std::map<size_t, std::string> markers;
    std::map<std::string, size_t> group; // by function
    std::vector<std::vector<Variable>> groups;
    std::map<uintptr_t, std::string> functions; // address to mangled name
    size_t own_offset = 0;                      // of `current`

    SharedTable();
    void take(const ElfW(Sym) & symbol, const char *name, uintptr_t base);
    void gather();
};

void SharedTable::take(const ElfW(Sym) & symbol, const char *name, uintptr_t base)
{
    const int type = ELF64_ST_TYPE(symbol.st_info);

    if (type == STT_FUNC && symbol.st_value && !strncmp(name, "_Z", 2))
        functions[base + symbol.st_value] = name;
    if (type != STT_TLS)
        return;
    if (!strcmp(name, OWN_NAME))
        own_offset = symbol.st_value;
    const bool local = !strncmp(name, "_ZZ", 3);
    const char *marker = local ? strstr(name, MARKER) : nullptr;
    if (!marker) {
        variables.push_back({symbol.st_value, symbol.st_size, local, local ? name : ""});
        return;
    }
    std::string function(name, marker);
    while (!function.empty() && function.back() != 'E')
        function.pop_back();
    variables.push_back({symbol.st_value, symbol.st_size, false, ""});
    markers[symbol.st_value] = function;
    group.emplace(function, group.size());
}

/* A variable belongs to the longest function whose name begins its own. */
void SharedTable::gather()
{
    groups.resize(group.size());
    for (Variable &v : variables) {
        const std::pair<const std::string, size_t> *best = nullptr;
        for (const auto &g : group)
            if (v.shared && v.function.compare(0, g.first.size(), g.first) == 0 &&
                (!best || best->first.size() < g.first.size()))
                best = &g;
        v.shared = best != nullptr;
        if (best)
            groups[best->second].push_back(v);
    }
    std::sort(variables.begin(), variables.end(),
              [](const Variable &a, const Variable &b) { return a.offset < b.offset; });
}

static int base_of_program(dl_phdr_info *info, size_t, void *base)
{
    *static_cast<uintptr_t *>(base) = info->dlpi_addr;
    return 1; // the first is the program
}

SharedTable::SharedTable()
{
    struct stat size;
    uintptr_t base = 0;
    const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    if (file < 0 || fstat(file, &size) != 0)
        return;
    void *image = mmap(nullptr, (size_t)size.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (image == MAP_FAILED)
        return;
    dl_iterate_phdr(base_of_program, &base);
    const char *bytes = static_cast<const char *>(image);
    const ElfW(Ehdr) *head = static_cast<const ElfW(Ehdr) *>(image);
    const ElfW(Shdr) *section = reinterpret_cast<const ElfW(Shdr) *>(bytes + head->e_shoff);
    for (int i = 0; i < head->e_shnum; i++) {
        if (section[i].sh_type != SHT_SYMTAB)
            continue;
        const char *names = bytes + section[section[i].sh_link].sh_offset;
        const ElfW(Sym) *symbols =
            reinterpret_cast<const ElfW(Sym) *>(bytes + section[i].sh_offset);
        for (size_t k = 0; k < section[i].sh_size / sizeof *symbols; k++)
            take(symbols[k], names + symbols[k].st_name, base);
    }
    munmap(image, (size_t)size.st_size);
    gather();
}

static const SharedTable &table()
{
    static const SharedTable found;
    return found;
}

static char *storage()
{
    return reinterpret_cast<char *>(&current) - table().own_offset;
}

/* Between two variables lies nothing that a kernel may touch. */
static void gaps_guard()
{
#ifdef EMULATOR_ASAN
    const std::vector<Variable> &all = table().variables;

    for (size_t i = 0; i + 1 < all.size(); i++) {
        const size_t end = all[i].offset + all[i].bytes;
        if (all[i].shared && end < all[i + 1].offset)
            __asan_poison_memory_region(storage() + end, all[i + 1].offset - end);
    }
#endif
}

/* Not memset: ThreadSanitizer would take it for an access of the running thread. */
static void fill_unseen(char *to, size_t bytes)
{
    for (; bytes && (uintptr_t)to % sizeof(uint64_t); bytes--)
        *static_cast<volatile char *>(to++) = -1;
    for (; bytes >= sizeof(uint64_t); bytes -= sizeof(uint64_t), to += sizeof(uint64_t))
        *reinterpret_cast<volatile uint64_t *>(to) = ~0ull;
    for (; bytes; bytes--)
        *static_cast<volatile char *>(to++) = -1;
}

static SharedGroup *group_here(SharedGroup **marker)
{
    static thread_local std::vector<SharedGroup> here;
    static thread_local SharedGroup nameless;
    const size_t offset = (size_t)(reinterpret_cast<char *>(marker) - storage());

    if (here.empty()) {
        gaps_guard();
        here.resize(table().groups.size());
        for (size_t i = 0; i < here.size(); i++)
            here[i].group = i;
    }
    const auto found = table().markers.find(offset);
    if (found == table().markers.end()) {
        nameless.group = here.size(); // a stripped program: nothing is filled
        return &nameless;
    }
    return &here[table().group.at(found->second)];
}

void shared_fill(SharedGroup **marker)
{
    if (!*marker)
        *marker = group_here(marker);
    SharedGroup *g = *marker;
    if (g->serial == current->serial)
        return;
    g->serial = current->serial;
    if (g->group < table().groups.size())
        for (const Variable &v : table().groups[g->group])
            fill_unseen(storage() + v.offset, v.bytes);
}

size_t shared_static_bytes(const void *kernel)
{
    const auto name = table().functions.find(reinterpret_cast<uintptr_t>(kernel));
    size_t bytes = 0;

    if (name == table().functions.end())
        return 0;
    const auto group = table().group.find("_ZZ" + name->second.substr(2) + "E");
    if (group == table().group.end())
        return 0;
    for (const Variable &v : table().groups[group->second])
        bytes += v.bytes;
    return bytes;
}

#ifdef EMULATOR_TSAN
void shared_enter(SharedGroup **marker)
{
    if (!*marker || (*marker)->serial != current->serial)
        shared_fill(marker);
}
#endif

} // namespace emulator
