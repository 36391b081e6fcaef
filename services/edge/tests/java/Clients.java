import jakarta.websocket.WebSocketContainer;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import org.apache.tomcat.websocket.WsWebSocketContainer;
import org.glassfish.tyrus.client.ClientManager;
import org.springframework.messaging.simp.stomp.StompSession;
import org.springframework.scheduling.concurrent.ThreadPoolTaskScheduler;
import org.springframework.web.socket.client.WebSocketClient;
import org.springframework.web.socket.client.standard.StandardWebSocketClient;
import org.springframework.web.socket.messaging.WebSocketStompClient;
import org.springframework.web.socket.sockjs.client.RestTemplateXhrTransport;
import org.springframework.web.socket.sockjs.client.SockJsClient;
import org.springframework.web.socket.sockjs.client.WebSocketTransport;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.ObjectMapper;

/**
 * Spring's WebSocketStompClient against the edge that the driver (tests/clients.rs) keeps:
 * {@code java Clients '{"client": "tomcat", "transport": "websocket", …}'}. Says where it is as JSON objects, one a line,
 * and waits for a line after each; ends with {"at": "passed"} or "failed".
 */
public final class Clients {
    private static final int SIZE = 65_536;
    /** Above a frame with the largest body. By default Spring refuses larger ones than 64 KiB, and splits its own. */
    private static final int LARGEST_FRAME = 2 * SIZE;
    private static final String COLOUR = "파랑: \\ 초록";

    private record Body(String contentType, byte[] octets) {}

    private static final Map<String, Body> BODIES = new LinkedHashMap<>();

    static {
        byte[] octets = new byte[SIZE];
        for (int at = 0; at < SIZE; at++) octets[at] = (byte) at;
        BODIES.put("greeting", text("안녕하세요, 여러분! 👋🏽🎉 grüß dich 👩‍👩‍👧‍👦"));
        BODIES.put("ascii", new Body("text/plain", Session.bytes("0123456789abcdef".repeat(SIZE / 16))));
        BODIES.put("korean", text("🎉" + "한".repeat((SIZE - 4) / 3)));
        BODIES.put("json", new Body("application/json", Session.bytes("{\"type\":\"TALK\",\"message\":\"줄\\n바꿈: \\\"따옴표\\\" \\\\ 🎈\"}")));
        BODIES.put("octets", new Body("application/octet-stream", octets));
    }

    private static Body text(String text) {
        return new Body("text/plain;charset=utf-8", Session.bytes(text));
    }

    private static final ObjectMapper JSON = new ObjectMapper();
    private static final BufferedReader LINES = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));

    private final JsonNode test;
    private final String room;
    private final boolean carriesBinary;
    private final WebSocketStompClient client;

    private Clients(JsonNode test) {
        this.test = test;
        room = test.get("room").asString();
        carriesBinary = test.get("transport").asString().equals("websocket");
        client = client(LARGEST_FRAME);
    }

    public static void main(String[] args) throws Exception {
        try {
            new Clients(JSON.readTree(args[0])).dialogue();
            say("passed", Map.of());
        } catch (Throwable error) {
            StringWriter trace = new StringWriter();
            error.printStackTrace(new PrintWriter(trace));
            say("failed", Map.of("why", trace.toString()));
        }
        System.exit(0);
    }

    private WebSocketStompClient client(int outboundLimit) {
        WebSocketContainer container =
            test.get("client").asString().equals("tyrus") ? ClientManager.createClient() : new WsWebSocketContainer();
        container.setDefaultMaxTextMessageBufferSize(LARGEST_FRAME);
        container.setDefaultMaxBinaryMessageBufferSize(LARGEST_FRAME);
        WebSocketClient socket = new StandardWebSocketClient(container);
        WebSocketClient transport = switch (test.get("transport").asString()) {
            case "websocket" -> socket;
            case "sockjs" -> new SockJsClient(List.of(new WebSocketTransport(socket), new RestTemplateXhrTransport()));
            case "xhr" -> new SockJsClient(List.of(new RestTemplateXhrTransport()));
            default -> throw new IllegalArgumentException(test.toString());
        };
        WebSocketStompClient made = new WebSocketStompClient(transport);
        made.setInboundMessageSizeLimit(LARGEST_FRAME);
        made.setOutboundMessageSizeLimit(outboundLimit);
        // For heart-beats and receipts.
        ThreadPoolTaskScheduler scheduler = new ThreadPoolTaskScheduler();
        scheduler.initialize();
        made.setTaskScheduler(scheduler);
        made.start();
        return made;
    }

    private void dialogue() throws Exception {
        inPieces();
        Session session = new Session(client, test.get("url").asString());
        settle(session, room);
        driver("said", Map.of("stored", bodies(session, BODIES.keySet(), room), "colour", COLOUR));
        same(session.take("message").text(), "나도 들려요 👋");
        alias(session);
        driver("drain", Map.of());
        again(session, "drained");
        driver("kill", Map.of());
        again(session, "killed");
        refused(session);
        settle(session, room);
        session.leave();
        stranger();
        friend();
    }

    /** Frames above 64 KiB in several WebSocket messages, Spring's default (W07); it would halve characters in text. */
    private void inPieces() throws Exception {
        Session session = new Session(client(SIZE), test.get("url").asString());
        settle(session, "pieces");
        bodies(session, carriesBinary ? List.of("ascii", "octets") : List.of("ascii"), "pieces");
        session.leave();
    }

    private static void settle(Session session, String room) throws Exception {
        Session.Told connected = session.connect();
        same(connected.header("version"), "1.2");
        check(connected.header("heart-beat").matches("\\d+,\\d+") && connected.header("session") != null, connected);
        session.subscribe("/topic/" + room, "id", "room", "receipt", "room");
        check(session.receipt("room").header("x-position") != null, "x-position");
    }

    /** All bodies at once; then their receipts, then their messages in the order of sending. */
    private List<List<String>> bodies(Session session, Iterable<String> names, String room) throws Exception {
        List<String> sent = new ArrayList<>();
        for (String name : names) {
            if (name.equals("octets") && !carriesBinary) continue;
            Body body = BODIES.get(name);
            session.send("/topic/" + room, body.octets(), "content-type", body.contentType(), "x-colour", COLOUR, "receipt", name);
            sent.add(name);
        }
        List<List<String>> stored = new ArrayList<>();
        for (String name : sent) {
            Session.Told receipt = session.receipt(name);
            check(receipt.header("message-id").matches("\\d+-\\d+-[0-9a-f]{8}"), receipt);
            check(receipt.header("timestamp").matches("\\d+"), receipt);
            stored.add(List.of(name, receipt.header("message-id")));
        }
        for (List<String> one : stored) {
            Session.Told message = session.take("message");
            Body body = BODIES.get(one.get(0));
            check(Arrays.equals(message.body(), body.octets()), one + ": " + message.body().length + " octets");
            same(message.header("message-id"), one.get(1));
            same(message.header("content-type"), body.contentType());
            same(message.header("x-colour"), COLOUR);
            same(message.header("destination"), "/topic/" + room);
            same(message.header("subscription"), "room");
            same(message.header("receipt"), null);
        }
        return stored;
    }

    /** Spring's names for rooms; MESSAGE has the one that was subscribed (M02). Unsubscribed, the room is silent. */
    private void alias(Session session) throws Exception {
        StompSession.Subscription subscription = session.subscribe("/sub/chat/" + room, "id", "alias");
        String id = session.stored("/pub/chat/" + room, "다른 방", "other");
        Session.Told message = session.take("message");
        same(message.header("destination"), "/sub/chat/" + room);
        same(message.header("subscription"), "alias");
        same(message.header("message-id"), id);
        subscription.unsubscribe();
        session.stored("/pub/chat/" + room, "nobody listens", "nobody");
        session.stored("/topic/" + room, "after", "after");
        same(session.take("message").text(), "after");
    }

    private void again(Session session, String word) throws Exception {
        session.take("closed");
        settle(session, room);
        session.stored("/topic/" + room, word, word);
        same(session.take("message").text(), word);
    }

    private static void refused(Session session) throws Exception {
        Session.lastWords(() -> session.subscribe("/topic/price.*", "id", "pattern", "receipt", "pattern"));
        Session.Told error = session.take("error");
        same(error.header("message"), "no such destination");
        same(error.header("x-error-code"), "404");
        same(error.header("receipt-id"), "pattern");
        check(error.body().length > 0, error);
        session.take("closed");
    }

    /** A token that nobody signed: connectAsync's future fails, after ERROR. */
    private void stranger() throws Exception {
        Session session = new Session(client, test.get("guarded").asString(), "Authorization", "Bearer " + test.get("wrong").asString());
        try {
            session.tryToConnect();
            throw new AssertionError("connected");
        } catch (ExecutionException refused) {
            Session.Told error = session.take("error");
            same(error.header("message"), "credentials refused");
            same(error.header("x-error-code"), "401");
            check(error.body().length > 0, error);
        }
        session.take("closed");
        check(!session.wasTold("connected"), session.left());
    }

    private void friend() throws Exception {
        String bearer = "Bearer " + test.get("token").asString();
        Session session = new Session(client, test.get("guarded").asString(), "Authorization", bearer);
        same(session.connect().header("user-name"), "ann");
        session.subscribe("/topic/" + room, "id", "room", "receipt", "room");
        session.receipt("room");
        session.send("/topic/" + room, Session.bytes("me"), "sender", "mallory", "Authorization", bearer);
        Session.Told message = session.take("message");
        same(message.header("sender"), "ann");
        same(message.header("Authorization"), null);
        session.leave();
    }

    private static void driver(String at, Map<String, ?> more) throws Exception {
        say(at, more);
        if (LINES.readLine() == null) System.exit(1);
    }

    private static void say(String at, Map<String, ?> more) {
        Map<String, Object> line = new LinkedHashMap<>(Map.of("at", at));
        line.putAll(more);
        // ASCII, whatever this terminal's encoding is: JSON escapes the rest.
        StringBuilder ascii = new StringBuilder();
        JSON.writeValueAsString(line).chars().forEach(c -> ascii.append(c < 128 ? String.valueOf((char) c) : String.format("\\u%04x", c)));
        System.out.println(ascii);
        System.out.flush();
    }

    private static void same(String got, String wanted) {
        if (!Objects.equals(got, wanted)) throw new AssertionError("`" + got + "`, not `" + wanted + "`");
    }

    private static void check(boolean holds, Object what) {
        if (!holds) throw new AssertionError(what.toString());
    }
}
