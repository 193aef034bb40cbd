/** @file Compiles what the pages hold: their `ts` fences, and the sources as the diffs of CONTRIBUTING leave them. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import ts from 'typescript';
import { diffsOf } from './diffs.ts';
import { fencesOf, root } from './fences.ts';

/** The compiler's errors in the pages. */
export interface CompiledPages {
  /** `page:line message` of every error in a `ts` fence, by page. */
  readonly errors: ReadonlyMap<string, readonly string[]>;
  /** Why CONTRIBUTING's diffs do not apply, or `path message` of every error in a file that they change. */
  readonly diffErrors: readonly string[];
  /** Folders and pages that typedoc makes of what the packages export, from the folder of the API reference. */
  readonly apiPages: ReadonlySet<string>;
}

/** Compiles all pages in one program, on the TypeScript sources of the packages. */
export function compilePages(pages: readonly string[]): CompiledPages {
  // Each fence is a module of its own beside its page, so that imports resolve as they would for a reader.
  const fences = new Map(
    pages.flatMap((page) =>
      fencesOf(page).map((fence) => [join(root, `${page}.${fence.line}.ts`), { page, ...fence }] as const),
    ),
  );
  const { changed, problem } = diffs();
  const entries = entryPoints();
  const options: ts.CompilerOptions = {
    ...ts.parseJsonConfigFileContent(
      ts.readConfigFile(join(root, 'tsconfig.json'), (path) => ts.sys.readFile(path)).config,
      ts.sys,
      root,
    ).options,
    moduleDetection: ts.ModuleDetectionKind.Force,
    isolatedDeclarations: false,
    noUnusedLocals: false,
    noUnusedParameters: false,
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const readFile = host.readFile.bind(host);
  const given = (path: string): string | undefined => fences.get(path)?.code ?? changed.get(path);
  host.fileExists = (path) => given(path) !== undefined || fileExists(path);
  host.readFile = (path) => given(path) ?? readFile(path);
  const program = ts.createProgram([...fences.keys(), ...changed.keys(), ...entries.keys()], options, host);

  const errors = new Map<string, string[]>();
  for (const [path, { page, line }] of fences) {
    const found = errorsIn(program, path).map(({ row, message }) => `${page}:${line + row} ${message}`);
    errors.set(page, [...(errors.get(page) ?? []), ...found]);
  }
  const inChanged = [...changed.keys()].flatMap((path) =>
    errorsIn(program, path).map(({ row, message }) => `${relative(root, path)}:${row + 1} ${message}`),
  );
  return {
    errors,
    diffErrors: problem === undefined ? inChanged : [problem],
    apiPages: apiPagesOf(program, entries),
  };
}

function errorsIn(program: ts.Program, path: string): { row: number; message: string }[] {
  const source = program.getSourceFile(path)!;
  return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map((each) => ({
    row: source.getLineAndCharacterOfPosition(each.start ?? 0).line,
    message: ts.flattenDiagnosticMessageText(each.messageText, ' '),
  }));
}

/** Files as CONTRIBUTING's diffs leave them, by absolute path. */
function diffs(): { changed: ReadonlyMap<string, string>; problem?: string } {
  try {
    const changed = [...diffsOf('CONTRIBUTING.md')].flatMap(([path, content]) =>
      typeof content === 'string' ? [[join(root, path), content] as const] : [],
    );
    return { changed: new Map(changed) };
  } catch (error) {
    return { changed: new Map(), problem: (error as Error).message };
  }
}

/** Entry points of each package, by absolute path: the folder that typedoc describes it in. */
function entryPoints(): Map<string, string> {
  const folders = readdirSync(join(root, 'packages')).map((name) => join(root, 'packages', name));
  return new Map(
    folders.flatMap((folder) => {
      const json = (file: string): Record<string, unknown> =>
        JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<string, unknown>;
      const name = json('package.json')['name'] as string;
      if (!existsSync(join(folder, 'typedoc.json'))) return [[join(folder, 'src/index.ts'), name] as const];
      const several = json('typedoc.json')['entryPoints'] as string[];
      return several.map((entry) => [join(folder, entry), `${name}/${basename(entry, '.ts')}`] as const);
    }),
  );
}

const kinds = [
  [ts.SymbolFlags.Function, 'functions'],
  [ts.SymbolFlags.Class, 'classes'],
  [ts.SymbolFlags.Interface, 'interfaces'],
  [ts.SymbolFlags.TypeAlias, 'type-aliases'],
  [ts.SymbolFlags.Variable, 'variables'],
] as const;

function apiPagesOf(program: ts.Program, entries: ReadonlyMap<string, string>): Set<string> {
  const checker = program.getTypeChecker();
  const pages = new Set<string>();
  // A name that two entries of a package export has its page at the first.
  const seen = new Set<ts.Symbol>();
  for (const [entry, folder] of entries) {
    for (const index of [folder, folder.split('/').slice(0, 2).join('/'), `${folder}/index.md`]) pages.add(index);
    for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)!)!)) {
      const own = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
      const kind = kinds.find(([flag]) => own.flags & flag)?.[1];
      if (!kind || seen.has(own)) continue;
      seen.add(own);
      // A class that is exported as a type alone only has an interface.
      const isType = symbol.declarations?.some(
        (each) => ts.isExportSpecifier(each) && ts.isTypeOnlyExportDeclaration(each),
      );
      pages.add(`${folder}/${kind === 'classes' && isType ? 'interfaces' : kind}/${symbol.name}.md`);
    }
  }
  return pages;
}
