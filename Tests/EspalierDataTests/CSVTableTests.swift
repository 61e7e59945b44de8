import Foundation
import Testing

@testable import EspalierData

@Suite("Comma-separated values")
struct CSVTableTests {
  private func table(_ text: String, _ body: (CSVTable) throws -> Void) throws {
    let path = NSTemporaryDirectory() + "espalier-\(UUID().uuidString).csv"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(try CSVTable(path: path))
  }

  @Test("Fields, quotes, both line ends, and a last line without one")
  func fields() throws {
    let text = "a,b,c\r\n1,\"x, \"\"y\"\"\n2\",\n,,\"\"\n\n7,é,9"
    try table(text) { table in
      #expect(table.header == ["a", "b", "c"])
      #expect(table.rows == [["1", "x, \"y\"\n2", ""], ["", "", ""], ["7", "é", "9"]])
      #expect(table.column("c") == ["", "", "9"])
      #expect(table.column("d") == nil)
    }
  }

  @Test(
    "What is wrong is said in one line",
    arguments: [
      ("a,b\n", "1 lines"), ("", "0 lines"), ("a,a\n1,2\n", "two columns 'a'"),
      ("a,b\n1,2\n3\n", "1 fields in row 2"), ("a\n\"x\n", "quote"),
    ])
  func errors(text: String, word: String) throws {
    let error = #expect(throws: DatasetError.self) { try table(text) { _ in } }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }

  @Test("A gzip file is read as well; a missing one is named")
  func files() throws {
    let path = NSTemporaryDirectory() + "espalier-\(UUID().uuidString).csv"
    try "a,b\n1,2\n".write(toFile: path, atomically: true, encoding: .utf8)
    let gzip = Process()
    gzip.executableURL = URL(fileURLWithPath: "/bin/gzip")
    gzip.arguments = [path]
    try gzip.run()
    gzip.waitUntilExit()
    defer { try? FileManager.default.removeItem(atPath: path + ".gz") }
    #expect(try CSVTable(path: path + ".gz").rows == [["1", "2"]])
    let missing = #expect(throws: DatasetError.self) { _ = try CSVTable(path: path) }
    #expect(missing?.description.contains(path) == true)
  }
}
