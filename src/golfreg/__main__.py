from golfreg.cli.main import main

main()
