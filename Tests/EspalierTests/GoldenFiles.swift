import Foundation

/// Reads a file of the folder `Golden`.
func golden<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
  let path = "\(#filePath)".replacing("GoldenFiles.swift", with: "Golden/\(name)")
  return try JSONDecoder().decode(T.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
}
