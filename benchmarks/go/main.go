// Etcd's own Go election, package concurrency, as one of the peers that the benchmarks compare.
//
// Works as the peers in Python do: a line "WORK VIA COUNT SECONDS" on stdin has the work done so many
// times, and is answered by one line of JSON on stdout with the seconds that each time took, by step.
// VIA means nothing here: there is one way only.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

const (
	ttl      = 3600
	patience = 30 * time.Second
)

type samples map[string][]float64

func (s samples) add(step string, began time.Time) {
	s[step] = append(s[step], time.Since(began).Seconds())
}

type peer struct {
	endpoint string
	name     string
	client   *clientv3.Client
	sessions [2]*concurrency.Session
}

func newClient(endpoint string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: patience})
}

func newPeer(endpoint, name string) (*peer, error) {
	client, err := newClient(endpoint)
	if err != nil {
		return nil, err
	}
	p := &peer{endpoint: endpoint, name: name, client: client}
	for i := range p.sessions {
		if p.sessions[i], err = concurrency.NewSession(client, concurrency.WithTTL(ttl)); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *peer) election(number int) *concurrency.Election {
	return concurrency.NewElection(p.sessions[number], p.name)
}

// campaign wins an election that nobody leads, and gives it up.
func (p *peer) campaign(ctx context.Context, took samples) error {
	election := p.election(0)
	began := time.Now()
	if err := election.Campaign(ctx, "value"); err != nil {
		return err
	}
	took.add("campaign", began)
	began = time.Now()
	err := election.Resign(ctx)
	took.add("resign", began)
	return err
}

// session does the same with a lease of its own, which is revoked at the end.
func (p *peer) session(ctx context.Context, took samples) error {
	began := time.Now()
	if err := once(ctx, p.client, p.name); err != nil {
		return err
	}
	took.add("session", began)
	return nil
}

// connection does the same on a connection of its own.
func (p *peer) connection(ctx context.Context, took samples) error {
	began := time.Now()
	client, err := newClient(p.endpoint)
	if err != nil {
		return err
	}
	if err := once(ctx, client, p.name); err != nil {
		return err
	}
	err = client.Close()
	took.add("connection", began)
	return err
}

func once(ctx context.Context, client *clientv3.Client, name string) error {
	session, err := concurrency.NewSession(client, concurrency.WithTTL(ttl))
	if err != nil {
		return err
	}
	if err := concurrency.NewElection(session, name).Campaign(ctx, "value"); err != nil {
		return err
	}
	return session.Close()
}

// handover resigns while a second candidate has been waiting for so long.
func (p *peer) handover(ctx context.Context, took samples, age time.Duration) error {
	first, second := p.election(0), p.election(1)
	if err := first.Campaign(ctx, "value"); err != nil {
		return err
	}
	type end struct {
		at  time.Time
		err error
	}
	elected := make(chan end, 1)
	go func() {
		err := second.Campaign(ctx, "value")
		elected <- end{time.Now(), err}
	}()
	for {
		answer, err := p.client.Get(ctx, p.name+"/", clientv3.WithPrefix(), clientv3.WithCountOnly())
		if err != nil {
			return err
		}
		if answer.Count == 2 {
			break
		}
	}
	time.Sleep(age)
	began := time.Now()
	if err := first.Resign(ctx); err != nil {
		return err
	}
	ended := <-elected
	if ended.err != nil {
		return ended.err
	}
	took["handover"] = append(took["handover"], ended.at.Sub(began).Seconds())
	return second.Resign(ctx)
}

// lead proclaims, and asks who leads.
func (p *peer) lead(ctx context.Context, took samples, count int) error {
	election := p.election(0)
	if err := election.Campaign(ctx, "value"); err != nil {
		return err
	}
	for range count {
		began := time.Now()
		if err := election.Proclaim(ctx, "another"); err != nil {
			return err
		}
		took.add("proclaim", began)
		began = time.Now()
		if _, err := election.Leader(ctx); err != nil {
			return err
		}
		took.add("leader", began)
	}
	return election.Resign(ctx)
}

func (p *peer) work(work string, count int, age time.Duration) (samples, error) {
	took := samples{}
	if work == "lead" {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return took, p.lead(ctx, took, count)
	}
	for range count {
		if err := p.one(work, age, took); err != nil {
			return nil, err
		}
	}
	return took, nil
}

func (p *peer) one(work string, age time.Duration, took samples) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch work {
	case "campaign":
		return p.campaign(ctx, took)
	case "session":
		return p.session(ctx, took)
	case "connection":
		return p.connection(ctx, took)
	case "handover":
		return p.handover(ctx, took, age)
	}
	return fmt.Errorf("there is no work %q", work)
}

func serve(endpoint, name string) error {
	p, err := newPeer(endpoint, name)
	if err != nil {
		return err
	}
	answers := json.NewEncoder(os.Stdout)
	if err := answers.Encode(samples{}); err != nil {
		return err
	}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var work, via string
		var count int
		var seconds float64
		if _, err := fmt.Sscan(orders.Text(), &work, &via, &count, &seconds); err != nil {
			return err
		}
		took, err := p.work(work, count, time.Duration(seconds*float64(time.Second)))
		if err != nil {
			return err
		}
		if err := answers.Encode(took); err != nil {
			return err
		}
	}
	return orders.Err()
}

func main() {
	if err := serve(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
