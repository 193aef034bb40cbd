/** @file Pages show files as they are. `npx vitest run docs/includedCode.test.ts -u` writes the pages. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { declarationOf } from './fences/declared.ts';
import { allPages, root } from './fences/fences.ts';
import { withIncludedCode } from './fences/included.ts';

const pages = allPages().filter((page) => readFileSync(join(root, page), 'utf8').includes(' file='));

test('there are such pages', () => {
  expect(pages).toContain('docs/guides/plugin.md');
});

test.each(pages)('%s', async (page) => {
  const file = join(root, page);
  await expect(await withIncludedCode(page, readFileSync(file, 'utf8'))).toMatchFileSnapshot(file);
});

/** What a fence that names this of a file holds. */
async function shown(file: string, names: string): Promise<string> {
  const page = await withIncludedCode('docs/page.md', `\`\`\`ts file=${file}#${names}\n\`\`\`\n`);
  return page.split('\n').slice(1, -2).join('\n');
}

describe('a name that is no region is what the file exports, as it is declared', () => {
  const sdk = '../packages/sdk/src';

  test('a function, with its docstring and without its body', async () => {
    expect(await shown('fences/fences.ts', 'fencesOf')).toBe(
      '/** The fences of a page, in order, but those that show a file. */\nexport declare function fencesOf(page: string): Fence[];',
    );
  });

  test('an interface, and several names in one fence', async () => {
    expect(await shown(`${sdk}/plugin/data/tableRow.ts`, 'Row,Cells')).toBe(`/** One row. */
export interface Row {
  /** Where it is, for messages: \`labels.csv, line 12\`. */
  readonly place: string;
  /** Cells by column: text in a CSV file, any JSON value in a JSON one. */
  readonly cells: Cells;
}

/** Cells by the name of their column. */
export interface Cells {
  /** Undefined where there is none. */
  get(column: string): unknown;
}`);
  });

  test('a constant without its value, and a type', async () => {
    expect(await shown(`${sdk}/plugin/data/splits.ts`, 'splitNames,Split')).toBe(
      "/** Splits by the names that people give them. */\nexport declare const splitNames: ReadonlyMap<string, Split>;\n\n/** Which part of the data a record is in. */\nexport type Split = 'train' | 'validation' | 'test';",
    );
  });

  test('a class, without its private members', async () => {
    const code = await shown(`${sdk}/graph/builder.ts`, 'GraphBuilder');
    expect(code).toContain('  /** The matrix product, over leading batch dimensions as numpy\'s `matmul`. */\n  MatMul(a: Value, b: Value): Value;\n'); // prettier-ignore
    expect(code).not.toMatch(/private|#|this\./);
  });

  test('all signatures of a function, from the docstring on, without a private field', () => {
    const code = [
      '/** @file Of a file without imports. */',
      '/** Twice. */',
      'export function twice(a: number): number;',
      '/** Of a text. */',
      'export function twice(a: string): string;',
      'export function twice(a: unknown): unknown { return a; }',
      'function hidden(): void {}',
      'interface Named { name: string }',
      'export interface Thing extends Named {}',
      '/** Counts. */',
      'export class Counter {',
      '  #kept = 1;',
      '  /** How often it was asked. */',
      '  private readonly seen = 2;',
      '  /** Next. */',
      '  next(): number { return this.#kept + this.seen; }',
      '}',
    ].join('\n');
    expect(declarationOf('/twice.ts', code, 'twice')).toBe(
      '/** Twice. */\nexport declare function twice(a: number): number;\n/** Of a text. */\nexport declare function twice(a: string): string;',
    );
    expect(declarationOf('/twice.ts', code, 'Counter')).toBe(
      '/** Counts. */\nexport declare class Counter {\n    /** Next. */\n    next(): number;\n}',
    );
    expect(declarationOf('/twice.ts', code, 'Named')).toMatch(/^interface Named \{\n/);
    expect(declarationOf('/twice.ts', code, 'hidden')).toBeUndefined();
  });

  test('refuses what is left to be inferred', () => {
    expect(() => declarationOf('/inferred.ts', 'export const f = () => g();', 'f')).toThrow(/inferred\.ts: .*isolatedDeclarations/); // prettier-ignore
  });
});

test('a region is shown as it is', async () => {
  expect(await shown('examples/plugins/capability.ts', 'key')).toMatch(/^\/\*\* Reads the samples of a file\. \*\/\nexport type SampleReader = /); // prettier-ignore
});

test.each(['nowhere', 'openModel'])(
  'refuses "%s", which is neither a region that ends nor declared there',
  async (name) => {
    const page = `\`\`\`ts file=examples/serve.ts#${name}\n\`\`\`\n`;
    await expect(withIncludedCode('docs/page.md', page)).rejects.toThrow(
      `serve.ts has no region "${name}" that also ends by that name, and its declarations have no "${name}".`,
    );
  },
);

test('the contract and the tools show all that plugins and tasks are made of', () => {
  const text = ['plugin-contract', 'task-tools'].map((name) =>
    readFileSync(join(root, `docs/reference/${name}.md`), 'utf8'),
  );
  const fences = text.flatMap((page) => [...page.matchAll(/^```ts file=\S+#(\S+)$/gm)]);
  const shownNames = fences.flatMap(([, names]) => names!.split(','));
  expect(shownNames.filter((name, i) => shownNames.indexOf(name) !== i)).toEqual([]);
  const index = 'packages/sdk/src/index.ts';
  const source = ts.createSourceFile(index, readFileSync(join(root, index), 'utf8'), ts.ScriptTarget.Latest);
  const exported = source.statements.flatMap((statement) => {
    if (!ts.isExportDeclaration(statement) || !statement.exportClause || !ts.isNamedExports(statement.exportClause))
      return [];
    const from = (statement.moduleSpecifier as ts.StringLiteral).text;
    if (
      !/^\.\/(?:plugin\/|train\/losses\/|lora\/tuner|lora\/init\/initializer|train\/optimizers\/optimizer\.|autodiff\/|graph\/builder)/.test(
        from,
      )
    )
      return [];
    return statement.exportClause.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
  });
  expect(exported.length).toBeGreaterThan(200);
  expect(exported.filter((name) => !shownNames.includes(name))).toEqual([]);
});
