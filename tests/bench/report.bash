# What the benchmarks of whole programs share.

report() { # COLUMN NAME: median and quartiles of that column of $dir/ratios
    awk -v c="$1" '{ print $c }' "$dir/ratios" | sort -g |
        awk -v name="$2" '{ v[NR] = $1 } END { printf "%s\t%.3f\t%.3f\t%.3f\n", name, v[int((NR + 1) / 2)],
            v[int((NR + 3) / 4)], v[int((3 * NR + 3) / 4)] }'
}
