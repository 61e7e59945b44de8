@_exported import EspalierData
@_exported import EspalierNN
