// The page: one board, shown by all three. Beside it stand the files of docs/howto/live.md.
import { createRoot } from "react-dom/client";
import { mount, unmount } from "svelte";
import { createApp, reactive } from "vue";
import { Board as ReactBoard } from "./Board.jsx";
import SvelteBoard from "./Board.svelte";
import VueBoard from "./Board.vue";
import { connect } from "./pb/pbweb.js";

const connection = await connect("./pb");
const root = await connection.getRootObject();
const board = await root.callRemote("getBoard");
const place = (id) => document.getElementById(id);

const react = createRoot(place("react"));
react.render(<ReactBoard board={board} />);
const svelte = mount(SvelteBoard, { target: place("svelte"), props: { board } });
const vue = createApp(VueBoard, { board });
vue.mount(place("vue"));

// What a test calls.
Object.assign(globalThis, {
  change: (...call) => root.callRemote(...call),
  isItself: () => reactive({ board, root }).board === board && reactive([root])[0] === root,
  leave() {
    react.unmount();
    unmount(svelte);
    vue.unmount();
    board.release();
  },
});
