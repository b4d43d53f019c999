# php.sh - which PHP, for `build` and `start`.
#
# php83 wants PHP 8.3; the newest that is installed serves where that is
# missing.  `find_php fpm` and `find_php cli`.

find_php() {
    local digits=${GAE_RUNTIME#php} dot found
    dot=${digits:0:1}.${digits:1}
    case $1 in
    fpm) found="/usr/sbin/php-fpm$dot $(printf '%s\n' /usr/sbin/php-fpm* \
        /usr/local/sbin/php-fpm | sort -rV)" ;;
    cli) found="/usr/bin/php$dot $(type -P php)" ;;
    esac
    for found in $found; do
        [ -x "$found" ] && echo "$found" && return
    done
}

# The front controller: every request is its own, as at Google.  `entrypoint:
# serve PATH` names another.
front_controller() {
    local word
    case $ENTRYPOINT in
    serve | serve\ *)
        for word in ${ENTRYPOINT#serve}; do
            [ "${word#-}" = "$word" ] && echo "$word" && return
        done
        ;;
    ?*) return ;;
    esac
    [ ! -f public/index.php ] || { echo public/index.php && return; }
    [ ! -f index.php ] || echo index.php
}
