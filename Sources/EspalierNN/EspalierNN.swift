@_exported import EspalierTensor
