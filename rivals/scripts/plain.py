"""The script of most rows. Workers may run a program's script again, so it does nothing but begin, behind a guard."""

if __name__ == "__main__":
    from rivals.child import main

    main()
