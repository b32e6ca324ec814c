"""The script of the importable function kind. Workers may import a program's script again, so it stays light."""

if __name__ == "__main__":
    from benchmarks import workloads
    from benchmarks.child import main

    main(workloads)
