// What must compile, and, with @ts-expect-error, what must not. `npm run check` compiles it.

import {
  Cacheable,
  type CallOptions,
  type Change,
  type Connection,
  type ConnectOptions,
  Copyable,
  connect,
  type Ending,
  type Live,
  LiveCopy,
  type Outcome,
  PBConnectionLost,
  PBError,
  Referenceable,
  RemoteCache,
  type RemoteCacheObserver,
  type RemotePromise,
  type RemoteReference,
  type RemoteStream,
  Root,
  remote,
  setUnjellyableForClass,
} from "pbweb";

type Is<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function is<A, B>(_: Is<A, B>): void {}

interface Two {
  three(number: number): number;
}
interface One {
  getTwo(): RemoteReference<Two>;
  takeTwo(two: RemoteReference<Two>): Promise<string>;
  echo(text: string, times?: number): Promise<string[]>;
  nothing(): void;
}

class LocalTwo extends Referenceable {
  remote_three(number: number): number {
    return number * 3;
  }
}
class Server extends Root {
  remote_getTwo(): LocalTwo {
    return new LocalTwo();
  }
  async remote_find(name: string): Promise<{ two: LocalTwo; names: string[] }> {
    return { two: new LocalTwo(), names: [name] };
  }
  hidden(): void {}
}

export async function anInterface(): Promise<void> {
  const connection = await connect<One>("ws://localhost:8000/pb");
  is<typeof connection, Connection<One>>(true);
  const one = await connection.getRootObject();
  is<typeof one, RemoteReference<One>>(true);

  const echoed = one.callRemote("echo", "hello", 2);
  is<typeof echoed, RemotePromise<string[]>>(true);
  const texts: string[] = await echoed;
  const two = await one.callRemote("getTwo");
  is<typeof two, RemoteReference<Two>>(true);
  const nine: number = await one.callRemote("getTwo").callRemote("three", 3);
  const sugared: number = await remote(remote(one).getTwo()).three(3);
  const rooted: number = await connection
    .getRootObject()
    .callRemote("getTwo")
    .callRemote("three", 1);
  await one.call("echo", { args: ["hello"], timeout: 5, signal: new AbortController().signal });
  await one.callRemote("takeTwo", two);
  await one.callRemote("takeTwo", one.callRemote("getTwo"));
  await one.callRemote("takeTwo", new LocalTwo());
  one.callRemoteOnly("nothing");
  two.notifyOnDisconnect((reference) => reference.release());
  two.release();
  using soonReleased = await one.callRemote("getTwo");
  void [soonReleased, texts, nine, sugared, rooted];

  // @ts-expect-error no such method
  one.callRemote("missing");
  // @ts-expect-error a wrong argument
  one.callRemote("echo", 5);
  // @ts-expect-error too few arguments
  one.callRemote("echo");
  // @ts-expect-error too many arguments
  one.callRemote("echo", "a", 1, 2);
  // @ts-expect-error a wrong argument in the long form
  one.call("echo", { args: [5] });
  // @ts-expect-error a wrong method behind a promise
  one.callRemote("getTwo").callRemote("four", 1);
  // @ts-expect-error a wrong argument behind a promise
  one.callRemote("getTwo").callRemote("three", "1");
  // @ts-expect-error data has no methods
  one.callRemote("echo", "a").callRemote("length");
  // @ts-expect-error a wrong result
  const wrong: number = await one.callRemote("echo", "hello");
  // @ts-expect-error an object with other methods
  one.callRemote("takeTwo", new Server());
  // @ts-expect-error the sugared form knows the methods as well
  remote(one).missing();
  // @ts-expect-error a timeout is a number of seconds
  one.call("echo", { timeout: "5" });
  void wrong;
}

export async function aClass(): Promise<void> {
  const connection = await connect<Server>("./pb");
  const server = await connection.getRootObject();
  const two = await server.callRemote("getTwo");
  is<typeof two, RemoteReference<LocalTwo>>(true);
  const found = await server.callRemote("find", "x");
  const names: string[] = found.names;
  const six: number = await found.two.callRemote("three", 2);
  void [names, six];

  // @ts-expect-error only what has the prefix can be called
  server.callRemote("hidden");
  // @ts-expect-error the prefix is left out
  server.callRemote("remote_getTwo");
  // @ts-expect-error a reference is no LocalTwo
  two.remote_three(1);
}

export async function withoutTypes(): Promise<void> {
  const connection = await connect(new MessageChannel().port1, {
    names: { root: new Server(), add: (a: number) => a },
  });
  const root = await connection.getRootObject();
  const anything = await root.callRemote("whatever", 1, "two").callRemote("more");
  anything.goes;
  const add: RemoteReference<(a: number, b: number) => number> = connection.remoteForName("add");
  const three: number = await add.callRemote("call", 1, 2);
  // @ts-expect-error a function's only method is call
  add.callRemote("apply");
  // @ts-expect-error what is published can be called
  connection.setNameForLocal("data", null);
  // @ts-expect-error limits are numbers
  await connect("./pb", { limits: { calls: "5" } });
  void three;
}

class Item extends Copyable {
  static pbType = "shop.Item";
  constructor(readonly price: number) {
    super();
  }
}
class Basket extends Copyable {
  #items: Item[];
  constructor(...items: Item[]) {
    super();
    this.#items = items;
  }
  override toState(): Item[] {
    return this.#items;
  }
  static fromState(items: Item[]): Basket {
    return new Basket(...items);
  }
}

export async function copies(): Promise<void> {
  setUnjellyableForClass(Item, Item);
  setUnjellyableForClass("shop.Basket", Basket);
  const connection = await connect<{ getItem(basket: Basket): Item }>("./pb");
  const shop = await connection.getRootObject();
  const item = await shop.callRemote("getItem", new Basket(new Item(5)));
  is<typeof item, Item>(true);
  // @ts-expect-error an item is no basket
  void shop.callRemote("getItem", item);
  class Plain {}
  // @ts-expect-error a class of copies or of errors is needed
  setUnjellyableForClass("shop.Plain", Plain);
}

export function errors(error: unknown): void {
  class OutOfStock extends PBError {
    static override pbType = "shop.OutOfStock";
  }
  setUnjellyableForClass("shop.OutOfStock", OutOfStock);
  setUnjellyableForClass(OutOfStock, OutOfStock);
  if (error instanceof PBError) {
    const type: string = error.type;
    const found = error.check(OutOfStock, "shop.Other");
    const text: string | null = error.traceback;
    void [type, found, text, error.parents[0]?.length];
  }
  // @ts-expect-error a class is needed
  setUnjellyableForClass("x", "y");
}

export async function optionsHaveNames(error: unknown): Promise<void> {
  const options: ConnectOptions = { limits: { calls: 5 }, software: "test" };
  const patience: CallOptions<[string]> = { args: ["hello"], timeout: 5 };
  const connection = await connect<One>("./pb", options);
  await (await connection.getRootObject()).call("echo", patience);
  const ending: Ending = await connection.closed;
  const outcome: Outcome | false = error instanceof PBConnectionLost && error.outcome;
  // @ts-expect-error no such option
  const wrong: ConnectOptions = { limit: 5 };
  void [ending.code, outcome, wrong];
}

class Pond extends Cacheable {
  frogs: string[] = [];
  observers = new Set<RemoteCacheObserver>();
  override getStateToCacheAndObserveFor(_: unknown, observer: RemoteCacheObserver) {
    this.observers.add(observer);
    return { frogs: this.frogs };
  }
  override stoppedObserving(_: unknown, observer: RemoteCacheObserver): void {
    this.observers.delete(observer);
  }
  add(frog: string): void {
    for (const observer of this.observers) observer.callRemoteOnly("added", frog);
  }
}
class PondCopy extends RemoteCache {
  frogs: string[] = [];
  observe_added(frog: string): void {
    this.frogs.push(frog);
  }
}
interface BoardState {
  title: string;
  cards: { text: string }[];
}
class Board extends LiveCopy<BoardState> {
  declare readonly title: string;
  get count(): number {
    return this.snapshot().cards.length;
  }
}
interface Keeper {
  getPond(): PondCopy;
  takePond(pond: Cacheable): void;
  getBoard(): Live<BoardState>;
}

export async function caches(keeper: RemoteReference<Keeper>): Promise<void> {
  setUnjellyableForClass("pond.Pond", PondCopy);
  setUnjellyableForClass("shop.Board", Board);
  keeper.callRemote("takePond", new Pond());
  const pond = await keeper.callRemote("getPond");
  is<typeof pond, PondCopy>(true);
  pond.release();
  const board = await keeper.callRemote("getBoard");
  is<typeof board, Live<BoardState>>(true);
  const title: string = board.title;
  const text: string | undefined = board.snapshot().cards[0]?.text;
  const stop: () => void = board.subscribe((changes) => {
    is<typeof changes, Change[]>(true);
    for (const change of changes) if (change.op === "splice") change.items.length.toFixed();
  });
  stop();
  // @ts-expect-error: it changes at its owner
  board.title = "mine";
  // @ts-expect-error: a copy that is no RemoteCache
  setUnjellyableForClass("x", class {});
  console.log(title, text, new Board().count);
}

interface Files {
  upload(chunks: RemoteStream<Uint8Array>): Promise<string>;
  numbers(to: number): RemoteStream<number>;
}
class Numbers extends Root {
  async *remote_numbers(to: number): AsyncGenerator<LocalTwo> {
    for (let at = 0; at < to; at++) yield new LocalTwo();
  }
  remote_file(): Blob {
    return new Blob();
  }
}

export async function streams(
  files: RemoteReference<Files>,
  numbers: RemoteReference<Numbers>,
): Promise<void> {
  for await (const number of files.callRemote("numbers", 3)) is<typeof number, number>(true);
  const stream = await files.callRemote("numbers", 3);
  is<typeof stream, RemoteStream<number>>(true);
  is<ReturnType<typeof stream.readable>, ReadableStream<number>>(true);
  for await (const number of stream) is<typeof number, number>(true);
  is<string, Awaited<ReturnType<typeof upload>>>(true);
  async function upload() {
    await files.callRemote("upload", new Blob([]).stream());
    await files.callRemote(
      "upload",
      (async function* () {
        yield new Uint8Array();
      })(),
    );
    return files.callRemote("upload", new File([], "name"));
  }
  // @ts-expect-error these are no bytes
  await files.callRemote("upload", files.callRemote("numbers", 3));
  const twos = await numbers.callRemote("numbers", 3);
  is<typeof twos, RemoteStream<RemoteReference<LocalTwo>>>(true);
  is<Awaited<ReturnType<typeof file>>, RemoteStream<Uint8Array>>(true);
  async function file() {
    return numbers.callRemote("file");
  }
}

interface Notes {
  read(): string[];
}

export async function logins(): Promise<void> {
  const connection = await connect("ws://localhost:8000/pb");
  const board = await connection.login<Notes>({ username: "alice", password: "x" }, new LocalTwo());
  is<typeof board, RemoteReference<Notes>>(true);
  const texts = await connection.login<Notes>({ token: "t" }).callRemote("read");
  is<typeof texts, string[]>(true);
  const renewed = await connection.renew(board, { kind: "apikey", key: 7 });
  is<typeof renewed, null>(true);
}
