/** @file What a file exports, as a `.d.ts` has it: its type and docstring without what it computes. */

import ts from 'typescript';

/** Declaration files by the code that they are made of, since pages show many names of one file. */
const declared = new Map<string, ts.SourceFile>();

/**
 * The declaration of something that a file itself exports, or that a type which it exports is made of, with its docstring; all
 * of them, of a function with several signatures. Private members are left out.
 *
 * @param code what the file holds
 * @returns undefined where the declarations of the file have no such name, and where it is another file's
 * @throws Error where an exported type is left to be inferred, which a declaration cannot show
 */
export function declarationOf(file: string, code: string, name: string): string | undefined {
  const source = declared.get(code) ?? declarationsIn(file, code);
  declared.set(code, source);
  const found = source.statements.filter((statement) => namesOf(statement).includes(name));
  return found.length === 0 ? undefined : found.map((statement) => textOf(statement, source)).join('\n');
}

function declarationsIn(file: string, code: string): ts.SourceFile {
  const { outputText, diagnostics = [] } = ts.transpileDeclaration(code, { fileName: file, reportDiagnostics: true });
  const [first] = diagnostics;
  if (first) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(first.messageText, ' ')}`);
  return ts.createSourceFile(file, outputText, ts.ScriptTarget.Latest, true);
}

function namesOf(statement: ts.Statement): string[] {
  if (ts.isVariableStatement(statement))
    return statement.declarationList.declarations.map((each) => each.name.getText());
  const { name } = statement as ts.DeclarationStatement;
  return name ? [name.getText()] : [];
}

/** From the docstring on: what stands before it, such as the head of the file, is of something else. */
function textOf(statement: ts.Statement, source: ts.SourceFile): string {
  const start = statement.getStart(source, true);
  const from = ts.getJSDocCommentsAndTags(statement).at(-1)?.getStart(source) ?? start;
  let text = source.text.slice(from, statement.end);
  if (!ts.isClassDeclaration(statement)) return text;
  // From the last to the first, so that places before are right still.
  for (const member of [...statement.members].reverse())
    if (isPrivate(member)) text = text.slice(0, member.pos - from) + text.slice(member.end - from);
  return text;
}

function isPrivate(member: ts.ClassElement): boolean {
  if (member.name && ts.isPrivateIdentifier(member.name)) return true;
  return ts.canHaveModifiers(member) && (ts.getModifiers(member) ?? []).some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword); // prettier-ignore
}
