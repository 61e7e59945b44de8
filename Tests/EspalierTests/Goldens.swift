import Foundation

/// Reads a file of the folder `Goldens`.
func golden<T: Decodable>(_ name: String, as type: T.Type = T.self) throws -> T {
  let path = "\(#filePath)".replacing("Goldens.swift", with: "Goldens/\(name)")
  return try JSONDecoder().decode(T.self, from: Data(contentsOf: URL(fileURLWithPath: path)))
}
