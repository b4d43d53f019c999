# java.sh - which Java, for `build` and `start`.
#
# java21 wants Java 21; what is on the PATH serves where that is missing.

java_home() {
    local wanted=${GAE_RUNTIME#java} home program
    for home in "/usr/lib/jvm/java-$wanted-openjdk-"* "/usr/lib/jvm/"*"-$wanted-"* \
        "/usr/lib/jvm/"*"-$wanted"; do
        [ -x "$home/bin/java" ] && echo "$home" && return
    done
    program=$(readlink -f "$(command -v java)") && [ -n "$program" ] &&
        echo "${program%/bin/java}"
}

# "17" of a home, by the file that every JDK has.
java_version() {
    sed -nE 's/^JAVA_VERSION="(1\.)?([0-9]+).*/\2/p' "$1/release" 2>/dev/null
}
