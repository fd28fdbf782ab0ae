// Parses queries with Microsoft's own parser. Standard input: {"folder", "queries": [...]}; standard output: for
// each query what is wrong with it.
const input = JSON.parse(require("fs").readFileSync(0, "utf8"));
const parser = `${input.folder}/@kusto/language-service-next`;
require(`${parser}/bridge.min`);
require(`${parser}/Kusto.Language.Bridge.min`);
const { KustoCode, GlobalState, Symbols } = globalThis.Kusto.Language;

const TABLES = {
  traces: "(timestamp: datetime, message: string, severityLevel: int, operation_Name: string, customDimensions: dynamic)",
  requests: "(timestamp: datetime, name: string, success: bool, duration: real, resultCode: string)",
  exceptions: "(timestamp: datetime, outerMessage: string, operation_Name: string)",
};
const tables = new (System.Collections.Generic.List$1(Symbols.Symbol).ctor)();
for (const [name, columns] of Object.entries(TABLES)) {
  tables.add(Symbols.TableSymbol.From(columns).WithName(name));
}
const state = GlobalState.Default.WithDatabase(new Symbols.DatabaseSymbol.$ctor1("insights", tables));
const answers = input.queries.map((query) => {
  const found = KustoCode.ParseAndAnalyze(query, state).GetDiagnostics();
  return Array.from({ length: found.Count }, (_, i) => found.getItem(i).Message);
});
console.log(JSON.stringify(answers));
