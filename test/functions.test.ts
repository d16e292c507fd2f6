/** The functions of src: their length and their names. The types of TypeScript's parser tell what a function is. */
import { join, relative, resolve } from 'node:path';
import {
  type ArrowFunction,
  type Expression,
  type FunctionDeclaration,
  type FunctionExpression,
  type MethodDeclaration,
  type Node,
  type SourceFile,
  SyntaxKind,
} from 'typescript/unstable/ast';
import {
  isArrowFunction,
  isCallExpression,
  isFunctionDeclaration,
  isFunctionExpression,
  isIdentifier,
  isMethodDeclaration,
  isObjectLiteralExpression,
  isParenthesizedExpression,
  isReturnStatement,
  isVariableDeclaration,
  isVariableStatement,
} from 'typescript/unstable/ast/is';
import { API } from 'typescript/unstable/sync';
import { afterAll, expect, it } from 'vitest';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/** Each migration exports `up`, which Kysely calls. */
const MIGRATIONS = join(SRC, 'postgres/migrations/');

/** What fits on a screen. */
const LINES_MAX = 60;

/**
 * Functions of two rooms that may have one name, because they are one idea: the package for callers cannot
 * import the service, and computes the same part sizes.
 */
const SAME_IDEA = ['planParts'];

type FunctionNode = FunctionDeclaration | FunctionExpression | ArrowFunction | MethodDeclaration;

const api = new API({ cwd: ROOT });
afterAll(() => api.close());
const [project] = api.updateSnapshot({ openProjects: [join(ROOT, 'tsconfig.json')] }).getProjects();
const program = project?.program;
const sources = (program?.getSourceFileNames() ?? [])
  .filter((path) => path.startsWith(`${SRC}/`))
  .flatMap((path) => program?.getSourceFile(path) ?? []);

it('the test finds the functions of src', () => {
  const named = sources.flatMap((source) => functionsIn(source)).map(({ name }) => name);
  expect(named).toEqual(
    expect.arrayContaining(['startApp', 'createPresignedUpload', 'planParts', 'reserve']),
  );
  expect(named.length).toBeGreaterThan(500);
});

it(`no function of src is longer than ${LINES_MAX} lines, outside the table that it returns`, () => {
  const long = sources
    .flatMap((source) => functionsIn(source).map((found) => ({ ...found, source })))
    .map(({ node, name, source }) => ({ name, source, lines: ownLines(node, source) }))
    .filter(({ lines }) => lines > LINES_MAX)
    .map(({ name, source, lines }) => `${relative(ROOT, source.fileName)} ${name}: ${lines}`);
  expect(long).toEqual([]);
});

it('each name of an exported function of src has one meaning', () => {
  const places = new Map<string, string[]>();
  for (const source of sources) {
    for (const name of exportedFunctions(source)) {
      if (source.fileName.startsWith(MIGRATIONS)) continue;
      places.set(name, [...(places.get(name) ?? []), relative(ROOT, source.fileName)]);
    }
  }
  const shared = [...places].filter(([, paths]) => paths.length > 1);
  expect(shared.filter(([name]) => !SAME_IDEA.includes(name))).toEqual([]);
  expect(shared.map(([name]) => name)).toEqual(expect.arrayContaining(SAME_IDEA));
});

function isFunction(node: Node): node is FunctionNode {
  return (
    isFunctionDeclaration(node) ||
    isFunctionExpression(node) ||
    isArrowFunction(node) ||
    isMethodDeclaration(node)
  );
}

function functionsIn(source: SourceFile): { node: FunctionNode; name: string }[] {
  const found: { node: FunctionNode; name: string }[] = [];
  const visit = (node: Node, nameOutside: string): void => {
    const name = 'name' in node && node.name ? textOf(node.name as Node, source) : nameOutside;
    if (isFunction(node)) found.push({ node, name });
    node.forEachChild((child) => visit(child, name));
  };
  visit(source, '');
  return found;
}

function textOf(node: Node, source: SourceFile): string {
  return source.text.slice(node.getStart(source), node.end);
}

/**
 * A table is an object that a function returns, or that the returned call takes as its last argument. Its
 * entries stand beside each other, so it may be long; a function in it is measured by itself.
 */
function ownLines(node: FunctionNode, source: SourceFile): number {
  let lines = linesOf(node, source);
  const subtractTable = (result: Expression | undefined): void => {
    const table = result && tableOf(result);
    if (table) lines -= linesOf(table, source) - 1;
  };
  const visit = (child: Node): void => {
    if (isFunction(child)) return;
    if (isReturnStatement(child)) subtractTable(child.expression);
    child.forEachChild(visit);
  };
  node.body?.forEachChild(visit);
  if (isArrowFunction(node) && node.body.kind !== SyntaxKind.Block) subtractTable(node.body as Expression);
  return lines;
}

function tableOf(result: Expression): Node | undefined {
  if (isObjectLiteralExpression(result)) return result;
  if (isParenthesizedExpression(result)) return tableOf(result.expression);
  const last = isCallExpression(result) ? result.arguments.at(-1) : undefined;
  return last && isObjectLiteralExpression(last) ? last : undefined;
}

function linesOf(node: Node, source: SourceFile): number {
  return textOf(node, source).split('\n').length;
}

/** `export function name` and `export const name = (…) => …`. */
function exportedFunctions(source: SourceFile): string[] {
  return source.statements
    .filter((statement) => /^export\b/.test(textOf(statement, source)))
    .flatMap((statement) => {
      if (isFunctionDeclaration(statement)) return statement.name ? [statement.name.text] : [];
      if (!isVariableStatement(statement)) return [];
      return statement.declarationList.declarations.flatMap((declaration) =>
        isVariableDeclaration(declaration) &&
        isIdentifier(declaration.name) &&
        declaration.initializer &&
        isFunction(declaration.initializer)
          ? [declaration.name.text]
          : [],
      );
    });
}
