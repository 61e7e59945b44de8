import EspalierCommand

CommandLineTool.main()
